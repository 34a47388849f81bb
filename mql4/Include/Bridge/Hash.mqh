//+------------------------------------------------------------------+
//| Hash.mqh: SHA-256 and HMAC-SHA256 (RFC 2104) on CryptEncode       |
//|                                                                   |
//| The terminal has no HMAC: CryptEncode's key argument is not used  |
//| for hashes (MQL4 reference, common/cryptencode).                  |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Limits.mqh>
#include <Bridge/Bytes.mqh>

#define HASH_BYTES 32
#define HMAC_BLOCK_BYTES 64

//--- Hash data that is not empty. What CryptEncode does with no data is not documented.
bool Sha256(const uchar &data[], uchar &digest[]) {
   uchar no_key[];
   ArrayResize(digest, 0);
   if(ArraySize(data) == 0) return(false);
   return(CryptEncode(CRYPT_HASH_SHA256, data, no_key, digest) == HASH_BYTES);
}

//--- HMAC for a key of any length but 0, as RFC 2104 has it; only the self-test
//    needs other lengths than 32. `mac` is empty unless true is returned.
bool HmacAnyKey(const uchar &key[], const uchar &message[], uchar &mac[]) {
   uchar block[], inner[], outer[], digest[];
   ArrayResize(mac, 0);
   if(ArraySize(key) > HMAC_BLOCK_BYTES) {
      if(!Sha256(key, block)) return(false);
   }
   else BytesAppend(block, key, 0, ArraySize(key));
   int length = ArraySize(block);
   ArrayResize(inner, HMAC_BLOCK_BYTES);
   ArrayResize(outer, HMAC_BLOCK_BYTES);
   for(int i = 0; i < HMAC_BLOCK_BYTES; i++) {
      int part = i < length ? (int)block[i] : 0;
      inner[i] = (uchar)(part ^ 0x36);
      outer[i] = (uchar)(part ^ 0x5C);
   }
   BytesAppend(inner, message, 0, ArraySize(message));
   bool done = Sha256(inner, digest);
   if(done) {
      BytesAppend(outer, digest, 0, HASH_BYTES);
      done = Sha256(outer, mac);
   }
   BytesWipe(block);
   BytesWipe(inner);
   BytesWipe(outer);
   return(done);
}

//--- HMAC under a key of exactly 32 bytes: other lengths are silent aliases
//    (HMAC(k) equals HMAC(k || 00), RFC 2104), so they are refused.
bool HmacSha256(const uchar &key[], const uchar &message[], uchar &mac[]) {
   ArrayResize(mac, 0);
   if(ArraySize(key) != KEY_BYTES) return(false);
   return(HmacAnyKey(key, message, mac));
}
//+------------------------------------------------------------------+
