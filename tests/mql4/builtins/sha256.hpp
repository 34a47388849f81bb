// sha256.hpp - SHA-256 (FIPS 180-4), for CryptEncode
#pragma once
#include <cstddef>

constexpr int SHA256_BYTES = 32;
void mql_sha256(const unsigned char *data, size_t length, unsigned char *digest);
