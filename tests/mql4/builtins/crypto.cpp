#include "crypto.hpp"

#include "sha256.hpp"

namespace {

constexpr int WRONG_PARAMETER = 4051;

int refuse(const char *why) {
  mql_violation(why);
  mql_set_error(WRONG_PARAMETER);
  return 0;
}

}  // namespace

int CryptEncode(ENUM_CRYPT_METHOD method, const MqlArray<uchar> &data, const MqlArray<uchar> &,
                MqlArray<uchar> &result) {
  if (method != CRYPT_HASH_SHA256) return refuse("CryptEncode: only CRYPT_HASH_SHA256 is here");
  if (data.n == 0) return refuse("CryptEncode of empty data is not documented");
  if (result.n < static_cast<long>(SHA256_BYTES)) {
    if (!result.dyn) return refuse("CryptEncode: the fixed result is too small");
    result.grow(SHA256_BYTES);
  }
  mql_sha256(data.d.get(), static_cast<size_t>(data.n), result.d.get());
  return SHA256_BYTES;
}
