// array.hpp - MqlArray: every MQL4 array, fixed or dynamic, checked at the line that indexes it.
#pragma once
#include <cstring>
#include <initializer_list>
#include <memory>
#include <utility>

#include "base.hpp"

// A constant expression, forced: an array dimension that is none does not compile.
template <long N>
struct MqlConst {
  static constexpr long v = N;
};

// What a DLL receives of an array: the address, and the true length so that the shim can check.
struct MqlBuf {
  void *p;
  size_t bytes;
};

// An index with the place it was written at.
struct MqlIdx {
  long v;
  const char *file;
  int line;
  template <class T, class = std::enable_if_t<mql_is_integer<T>>>
  MqlIdx(T index, const char *at_file = __builtin_FILE(), int at_line = __builtin_LINE())
      : v(static_cast<long>(index)), file(at_file), line(at_line) {}
};

// Whether a type is a class of the program with a destructor of its own.
template <class T, class = void>
struct MqlHasDestructor : std::false_type {};
template <class T>
struct MqlHasDestructor<T, std::void_t<typename T::mql_has_destructor>> : std::true_type {};

template <class T>
struct MqlArray {
  std::unique_ptr<T[]> d;
  long n = 0;    // elements
  long cap = 0;  // elements allocated
  bool dyn = true;

  MqlArray() {}
  // T a[] = {...}: fixed, of that length. With a length in front, the rest is zero.
  MqlArray(std::initializer_list<T> values, long length = 0) : dyn(false) {
    const long given = static_cast<long>(values.size());
    grow(length > given ? length : given);
    long i = 0;
    for (const T &value : values) d[i++] = value;
    for (; i < n; i++) d[i] = T();
  }
  static MqlArray fixed(long length) {
    MqlArray a;
    a.dyn = false;
    a.grow(length);
    return a;
  }
  // Global and static arrays begin as zeros, others as garbage.
  static MqlArray zeroed(long length) {
    MqlArray a = fixed(length);
    for (long i = 0; i < length; i++) a.d[i] = T();
    return a;
  }
  MqlArray(const MqlArray &) = delete;  // error 120: ArrayCopy copies arrays, = does not
  MqlArray &operator=(const MqlArray &) = delete;
  MqlArray(MqlArray &&) = default;
  MqlArray &operator=(MqlArray &&) = default;

  // Exact allocation, so that AddressSanitizer sees one byte past the end; new elements are
  // garbage (0xCD), as the terminal does not clear them.
  void grow(long length);
  T &operator[](MqlIdx i) {
    check(i);
    return d[i.v];
  }
  const T &operator[](MqlIdx i) const {
    check(i);
    return d[i.v];
  }
  void check(const MqlIdx &i) const {
    if (i.v < 0 || i.v >= n) mql_critical("array out of range", i.file, i.line);
  }
  MqlBuf dll() const { return MqlBuf{d.get(), sizeof(T) * static_cast<size_t>(n)}; }
};

template <class T>
void MqlArray<T>::grow(long length) {
  if (length <= cap && length >= n) {
    n = length;
    return;
  }
  if (MqlHasDestructor<T>::value && n > 0)
    mql_violation("an array of objects with destructors grows: the harness would end them twice");
  const size_t room = static_cast<size_t>(length ? length : 1);
  std::unique_ptr<T[]> fresh(new T[room]);
  if constexpr (std::is_trivially_copyable<T>::value && std::is_trivially_destructible<T>::value)
    std::memset(static_cast<void *>(fresh.get()), 0xCD, sizeof(T) * room);
  for (long i = 0; i < (n < length ? n : length); i++) fresh[i] = std::move(d[i]);
  d = std::move(fresh);
  n = cap = length;
}

// T a[N] as a member of a structure: copied with it.
template <class T, long N>
struct MqlMember : MqlArray<T> {
  MqlMember() : MqlArray<T>(MqlArray<T>::fixed(N)) {}
  MqlMember(const MqlMember &other) : MqlMember() { *this = other; }
  MqlMember &operator=(const MqlMember &other) {
    for (long i = 0; i < N; i++) this->d[i] = other.d[i];
    return *this;
  }
};

// One row of T a[][N]; an array of rows is one block of memory, as in MQL4.
template <class T, long N>
struct MqlRow {
  T cell[N];
  T &operator[](MqlIdx i) {
    if (i.v < 0 || i.v >= N) mql_critical("array out of range", i.file, i.line);
    return cell[i.v];
  }
  const T &operator[](MqlIdx i) const { return const_cast<MqlRow &>(*this)[i]; }
};

enum { WHOLE_ARRAY = -1 };
constexpr int ERR_WRONG_FUNCTION_PARAMVALUE_ = 4051;

// docs.mql4.com/array/arraysize: elements of all dimensions
template <class T>
int ArraySize(const MqlArray<T> &a) {
  return static_cast<int>(a.n);
}
template <class T, long N>
int ArraySize(const MqlArray<MqlRow<T, N>> &a) {
  return static_cast<int>(a.n * N);
}
// docs.mql4.com/array/arrayrange
template <class T>
int ArrayRange(const MqlArray<T> &a, int rank) {
  return rank == 0 ? static_cast<int>(a.n) : 0;
}
template <class T, long N>
int ArrayRange(const MqlArray<MqlRow<T, N>> &a, int rank) {
  return rank == 0 ? static_cast<int>(a.n) : rank == 1 ? static_cast<int>(N) : 0;
}
// docs.mql4.com/array/arrayresize: the new count of elements, -1 on failure. A fixed array keeps
// its size; asking for more is always an error of the program, so it is a violation too.
template <class T>
int ArrayResize(MqlArray<T> &a, int length, int reserve = 0) {
  (void)reserve;
  if (length < 0 || (!a.dyn && length != a.n)) {
    mql_violation("ArrayResize: " + std::string(length < 0 ? "negative size" : "fixed array"));
    mql_set_error(ERR_WRONG_FUNCTION_PARAMVALUE_);
    return -1;
  }
  a.grow(length);
  return ArraySize(a);
}
// docs.mql4.com/array/arrayfree
template <class T>
void ArrayFree(MqlArray<T> &a) {
  if (a.dyn) a.grow(0);
}
// docs.mql4.com/array/arrayisdynamic
template <class T>
bool ArrayIsDynamic(const MqlArray<T> &a) {
  return a.dyn;
}
// docs.mql4.com/array/arrayinitialize
template <class T, class V>
int ArrayInitialize(MqlArray<T> &a, V value) {
  for (long i = 0; i < a.n; i++) a.d[i] = static_cast<T>(value);
  return static_cast<int>(a.n);
}
// docs.mql4.com/array/arrayfill
template <class T, class V>
void ArrayFill(MqlArray<T> &a, int start, int count, V value, const char *file = __builtin_FILE(),
               int line = __builtin_LINE()) {
  for (int i = 0; i < count; i++) a[MqlIdx(start + i, file, line)] = static_cast<T>(value);
}
// docs.mql4.com/array/arraycopy: the count of copied elements; a fixed target takes what fits, and
// the loss of the rest is a violation here.
template <class T>
int ArrayCopy(MqlArray<T> &to, const MqlArray<T> &from, int to_start = 0, int from_start = 0,
              int count = WHOLE_ARRAY) {
  if (to_start < 0 || from_start < 0) {
    mql_violation("ArrayCopy: negative start");
    mql_set_error(ERR_WRONG_FUNCTION_PARAMVALUE_);
    return 0;
  }
  long length = count < 0 || count > from.n - from_start ? from.n - from_start : count;
  if (length <= 0) return 0;
  if (to_start + length > to.n) {
    if (to.dyn) {
      to.grow(to_start + length);
    } else {
      mql_violation("ArrayCopy: the fixed target is too small");
      length = to.n > to_start ? to.n - to_start : 0;
    }
  }
  const bool back = &to == &from && to_start > from_start;
  for (long i = 0; i < length; i++) {
    const long k = back ? length - 1 - i : i;
    to.d[to_start + k] = from.d[from_start + k];
  }
  return static_cast<int>(length);
}
// docs.mql4.com/array/arraycompare: -1, 0 or 1
template <class T>
int ArrayCompare(const MqlArray<T> &a, const MqlArray<T> &b) {
  for (long i = 0; i < a.n && i < b.n; i++)
    if (a.d[i] != b.d[i]) return a.d[i] < b.d[i] ? -1 : 1;
  return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}
// docs.mql4.com/common/zeromemory; every translated structure has its own mql_zero().
template <class T, class = void>
struct MqlHasZero : std::false_type {};
template <class T>
struct MqlHasZero<T, std::void_t<decltype(std::declval<T &>().mql_zero())>> : std::true_type {};
template <class T>
void mql_zero(T &variable) {
  if constexpr (MqlHasZero<T>::value)
    variable.mql_zero();
  else
    variable = T();
}
template <class T>
void mql_zero(MqlArray<T> &a) {
  for (long i = 0; i < a.n; i++) mql_zero(a.d[i]);
}
template <class T, long N>
void mql_zero(MqlMember<T, N> &a) {
  mql_zero(static_cast<MqlArray<T> &>(a));
}
template <class T>
void ZeroMemory(T &variable) {
  mql_zero(variable);
}
