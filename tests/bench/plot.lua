-- A line in a plane with a logarithmic x axis, as SVG.
local plot = {}

local width, height, left, bottom, top, right = 640, 360, 64, 48, 16, 24

-- The next round number from there on: 1, 2 or 5 times a power of ten.
local function round_up(value)
	local unit = 10 ^ math.floor(math.log10(value))
	for _, times in ipairs { 1, 2, 5, 10 } do
		if value <= times * unit then
			return times * unit
		end
	end
end

local function count_name(n)
	return n >= 1e6 and ("%g M"):format(n / 1e6) or n >= 1e3 and ("%g k"):format(n / 1e3) or ("%g"):format(n)
end

-- points: { { x, y }, ... } in order of x.
function plot.svg(points, x_name, y_name)
	local first, last, most = points[1][1], points[#points][1], 0
	for _, p in ipairs(points) do
		most = math.max(most, p[2])
	end
	local step = round_up(most / 5)
	local ceiling = math.ceil(most / step) * step
	local function x_at(x)
		local span = last > first and math.log(last / first) or 1
		return left + (width - left - right) * math.log(x / first) / span
	end
	local function y_at(y)
		return height - bottom - (height - bottom - top) * y / ceiling
	end
	local svg = { ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">')
		:format(width, height), ('<rect width="%d" height="%d" fill="#fff"/>'):format(width, height) }
	local function add(fmt, ...)
		svg[#svg + 1] = fmt:format(...)
	end
	for y = 0, ceiling, step do
		add('<path d="M%d %.1fH%d" stroke="#ddd"/>', left, y_at(y), width - right)
		add('<text x="%d" y="%.1f" text-anchor="end">%g</text>', left - 8, y_at(y) + 4, y)
	end
	local line = {}
	for i, p in ipairs(points) do
		local x, y = x_at(p[1]), y_at(p[2])
		line[i] = ("%s%.1f %.1f"):format(i == 1 and "M" or "L", x, y)
		add('<text x="%.1f" y="%d" text-anchor="middle">%s</text>', x, height - bottom + 18, count_name(p[1]))
		add('<text x="%.1f" y="%.1f" text-anchor="middle" fill="#235">%.0f</text>', x, y - 10, p[2])
		add('<circle cx="%.1f" cy="%.1f" r="4" fill="#27c"/>', x, y)
	end
	add('<path d="%s" fill="none" stroke="#27c" stroke-width="2"/>', table.concat(line))
	add('<text x="%d" y="%d" text-anchor="middle">%s</text>', (left + width - right) / 2, height - 8, x_name)
	add('<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>', (top + height - bottom) / 2,
		y_name)
	svg[#svg + 1] = "</svg>\n"
	return table.concat(svg, "\n")
end

return plot
