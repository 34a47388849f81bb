#include "sha256.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

using Word = std::uint32_t;
constexpr int ROUNDS = 64;
constexpr size_t BLOCK = 64;

// FIPS 180-4, 4.2.2 and 5.3.3: the first 32 bits of the fractional parts of the cube roots of the
// first 64 primes, and of the square roots of the first 8.
struct Constants {
  std::array<Word, ROUNDS> k{};
  std::array<Word, 8> start{};

  Constants() {
    size_t found = 0;
    for (int candidate = 2; found < ROUNDS; ++candidate) {
      if (!is_prime(candidate)) continue;
      const long double number = candidate;
      k[found] = fraction(std::cbrt(number));
      if (found < start.size()) start[found] = fraction(std::sqrt(number));
      ++found;
    }
  }
  static bool is_prime(int number) {
    for (int divisor = 2; divisor * divisor <= number; ++divisor)
      if (number % divisor == 0) return false;
    return true;
  }
  static Word fraction(long double root) {
    return static_cast<Word>((root - std::floor(root)) * 4294967296.0L);
  }
};

const Constants &constants() {
  static const Constants one;
  return one;
}

Word rotate(Word word, int by) { return word >> by | word << (32 - by); }

// FIPS 180-4, 6.2.2
void compress(std::array<Word, 8> &state, const unsigned char *block) {
  Word w[ROUNDS];
  for (int i = 0; i < 16; ++i, block += 4)
    w[i] = static_cast<Word>(block[0]) << 24 | static_cast<Word>(block[1]) << 16 |
           static_cast<Word>(block[2]) << 8 | block[3];
  for (int i = 16; i < ROUNDS; ++i) {
    const Word s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
    const Word s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (int i = 0; i < ROUNDS; ++i) {
    const Word s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const Word t1 = h + s1 + ((e & f) ^ (~e & g)) + constants().k[static_cast<size_t>(i)] + w[i];
    const Word s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const Word t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const Word sums[] = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < state.size(); ++i) state[i] += sums[i];
}

}  // namespace

void mql_sha256(const unsigned char *data, size_t length, unsigned char *digest) {
  std::array<Word, 8> state = constants().start;
  std::vector<unsigned char> message(data, data + length);
  message.push_back(0x80);
  while (message.size() % BLOCK != BLOCK - 8) message.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8)
    message.push_back(static_cast<unsigned char>(static_cast<std::uint64_t>(length) * 8 >> shift));
  for (size_t at = 0; at < message.size(); at += BLOCK) compress(state, message.data() + at);
  for (size_t i = 0; i < SHA256_BYTES; ++i)
    digest[i] = static_cast<unsigned char>(state[i / 4] >> (24 - 8 * (i % 4)));
}
