std = "luajit"
max_line_length = 120
-- A handler's signature is documentation, even where it needs only some of its arguments.
unused_args = false
exclude_files = { "build*/" }
files["tests/spec"] = { std = "+busted" }
files["**/*_spec.lua"] = { std = "+busted" }
