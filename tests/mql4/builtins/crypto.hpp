// crypto.hpp - docs.mql4.com/common/cryptencode
#pragma once
#include "runtime/array.hpp"

// docs.mql4.com/constants/namedconstants/otherconstants (ENUM_CRYPT_METHOD)
enum ENUM_CRYPT_METHOD {
  CRYPT_BASE64,
  CRYPT_AES128,
  CRYPT_AES256,
  CRYPT_DES,
  CRYPT_HASH_SHA1,
  CRYPT_HASH_SHA256,
  CRYPT_HASH_MD5,
  CRYPT_ARCH_ZIP
};

// common/cryptencode: only CRYPT_HASH_SHA256. Returns the count of bytes (32), 0 on error. Hashing
// nothing is not documented, so it is a violation.
int CryptEncode(ENUM_CRYPT_METHOD method, const MqlArray<uchar> &data, const MqlArray<uchar> &key,
                MqlArray<uchar> &result);
