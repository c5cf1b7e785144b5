-- OpenSSL's libcrypto, for libraries of events: digests, and X.509 certificates. crypto is nil where it is missing.
local ffi = require "ffi"

ffi.cdef [[
unsigned char *MD5(const unsigned char *d, size_t n, unsigned char *md);
unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *md);
typedef struct mos_x509 mos_x509;
typedef struct mos_bio mos_bio;
mos_x509 *d2i_X509(mos_x509 **out, const unsigned char **in, long len);
void X509_free(mos_x509 *);
const void *X509_get_subject_name(const mos_x509 *);
const void *X509_get_issuer_name(const mos_x509 *);
const void *X509_get0_notBefore(const mos_x509 *);
const void *X509_get0_notAfter(const mos_x509 *);
const void *X509_get0_serialNumber(const mos_x509 *);
void *X509_get_ext_d2i(const mos_x509 *, int nid, int *crit, int *idx);
void GENERAL_NAMES_free(void *);
int OPENSSL_sk_num(const void *);
void *OPENSSL_sk_value(const void *, int);
int X509_NAME_print_ex(mos_bio *, const void *name, int indent, unsigned long flags);
int GENERAL_NAME_print(mos_bio *, void *);
int i2a_ASN1_INTEGER(mos_bio *, const void *);
int ASN1_TIME_diff(int *days, int *seconds, const void *from, const void *to);
void *ASN1_TIME_set(void *, int64_t t);
void ASN1_TIME_free(void *);
const void *BIO_s_mem(void);
mos_bio *BIO_new(const void *);
int BIO_free(mos_bio *);
long BIO_ctrl(mos_bio *, int cmd, long larg, void *parg);
void ERR_clear_error(void);
]]

local lib
for _, name in ipairs { "libcrypto.so.3", "crypto", "libcrypto.so.1.1" } do
	local ok, loaded = pcall(ffi.load, name)
	if ok then
		lib = loaded
		break
	end
end
if not lib then
	require("mos.log").warn "OpenSSL's libcrypto is not there: no fingerprints, no certificates"
	return { missing = true, md5 = function() end, sha256 = function() end, certificate = function() end }
end

local crypto = {}

local digest = ffi.new "unsigned char[32]"

local function hex(p, n)
	return (ffi.string(p, n):gsub(".", function(c)
		return ("%02x"):format(c:byte())
	end))
end

-- Digests of a string, in hexadecimal.
function crypto.md5(s)
	lib.MD5(s, #s, digest)
	return hex(digest, 16)
end

function crypto.sha256(s)
	lib.SHA256(s, #s, digest)
	return hex(digest, 32)
end

local BIO_CTRL_INFO, BIO_CTRL_RESET = 3, 1
local XN_FLAG_RFC2253 = 0x1110317
local NID_subject_alt_name = 85

local bio = ffi.gc(lib.BIO_new(lib.BIO_s_mem()), lib.BIO_free)
local text = ffi.new "char *[1]"

-- What print writes, as a string.
local function printed(print, ...)
	lib.BIO_ctrl(bio, BIO_CTRL_RESET, 0, nil)
	if print(bio, ...) <= 0 then
		return nil
	end
	local n = lib.BIO_ctrl(bio, BIO_CTRL_INFO, 0, text)
	return ffi.string(text[0], n)
end

local days, seconds = ffi.new "int[1]", ffi.new "int[1]"
local epoch = ffi.gc(lib.ASN1_TIME_set(nil, 0), lib.ASN1_TIME_free)

-- Seconds since the epoch.
local function time(t)
	if t == nil or lib.ASN1_TIME_diff(days, seconds, epoch, t) ~= 1 then
		return nil
	end
	return days[0] * 86400 + seconds[0]
end

local function alternative_names(x)
	local names = lib.X509_get_ext_d2i(x, NID_subject_alt_name, nil, nil)
	local list = {}
	if names == nil then
		return list
	end
	for i = 0, math.min(lib.OPENSSL_sk_num(names), 256) - 1 do
		list[#list + 1] = printed(lib.GENERAL_NAME_print, lib.OPENSSL_sk_value(names, i))
	end
	lib.GENERAL_NAMES_free(names)
	return list
end

local der = ffi.new "const unsigned char *[1]"

-- What a certificate in DER says: subject, issuer (RFC 2253), serial, not_before, not_after (seconds since the epoch),
-- names (alternative names of the subject: "DNS:example.org"). nil if it is no certificate.
function crypto.certificate(bytes)
	der[0] = ffi.cast("const unsigned char *", bytes)
	local x = lib.d2i_X509(nil, der, #bytes)
	if x == nil then
		lib.ERR_clear_error()
		return nil
	end
	local t = {
		subject = printed(lib.X509_NAME_print_ex, lib.X509_get_subject_name(x), 0, XN_FLAG_RFC2253),
		issuer = printed(lib.X509_NAME_print_ex, lib.X509_get_issuer_name(x), 0, XN_FLAG_RFC2253),
		serial = printed(lib.i2a_ASN1_INTEGER, lib.X509_get0_serialNumber(x)),
		not_before = time(lib.X509_get0_notBefore(x)),
		not_after = time(lib.X509_get0_notAfter(x)),
		names = alternative_names(x),
	}
	lib.X509_free(x)
	lib.ERR_clear_error()
	return t
end

return crypto
