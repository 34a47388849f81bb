// files.hpp - docs.mql4.com/files: the sandbox MQL4/Files and nothing else.
//
// What is written goes into a buffer; FileFlush and FileClose hand it to the disk, and a killed
// terminal loses the rest (docs.mql4.com/files/fileflush). A file opened without FILE_SHARE_*
// cannot be opened a second time, deleted or moved while it is open, as on Windows.
#pragma once
#include <cstring>
#include <string>
#include <type_traits>

#include "runtime/array.hpp"
#include "runtime/moment.hpp"
#include "runtime/text.hpp"

// docs.mql4.com/constants/io_constants/fileflags
enum {
  FILE_READ = 1,
  FILE_WRITE = 2,
  FILE_BIN = 4,
  FILE_CSV = 8,
  FILE_TXT = 16,
  FILE_ANSI = 32,
  FILE_UNICODE = 64,
  FILE_SHARE_READ = 128,
  FILE_SHARE_WRITE = 256,
  FILE_REWRITE = 512,
  FILE_COMMON = 4096
};
enum { INVALID_HANDLE = -1 };
// docs.mql4.com/constants/io_constants/enum_file_position
#undef SEEK_SET
#undef SEEK_CUR
#undef SEEK_END
constexpr int SEEK_SET = 0;
constexpr int SEEK_CUR = 1;
constexpr int SEEK_END = 2;
// docs.mql4.com/constants/io_constants/fileproperties
enum ENUM_FILE_PROPERTY_INTEGER {
  FILE_EXISTS,
  FILE_CREATE_DATE,
  FILE_MODIFY_DATE,
  FILE_ACCESS_DATE,
  FILE_SIZE,
  FILE_POSITION,
  FILE_END
};

// files/fileopen: a handle from 1, INVALID_HANDLE on failure
int FileOpen(const string &name, int flags, short delimiter = '\t', uint codepage = 0);
// files/fileclose
void FileClose(int handle);
// files/fileflush: returns nothing; a failure shows in GetLastError and in the size
void FileFlush(int handle);
// files/fileseek, filetell, filesize, fileisending
bool FileSeek(int handle, long offset, int origin);
ulong FileTell(int handle);
ulong FileSize(int handle);
bool FileIsEnding(int handle);
// files/filewritestring, filereadstring: FILE_ANSI files only
uint FileWriteString(int handle, const string &text, int length = -1);
string FileReadString(int handle, int length = -1);
// files/filewriteinteger, filereadinteger: size 1, 2 or 4, FILE_BIN
uint FileWriteInteger(int handle, int value, int size = 4);
int FileReadInteger(int handle, int size = 4);
// files/filewritelong, filereadlong
uint FileWriteLong(int handle, long value);
long FileReadLong(int handle);
// files/fileisexist, filedelete, filemove
bool FileIsExist(const string &name, int common_flag = 0);
bool FileDelete(const string &name, int common_flag = 0);
bool FileMove(const string &name, int common_flag, const string &new_name, int mode_flags);
// files/filegetinteger
long FileGetInteger(int handle, ENUM_FILE_PROPERTY_INTEGER property);
long FileGetInteger(const string &name, ENUM_FILE_PROPERTY_INTEGER property, bool common = false);

// Bytes to and from the buffer of an open FILE_BIN file; the counts that were moved.
size_t mql_file_write(int handle, const void *data, size_t bytes);
size_t mql_file_read(int handle, void *data, size_t bytes);

// files/filewritearray: the count of elements written
template <class T>
uint FileWriteArray(int handle, const MqlArray<T> &array, int start = 0, int count = WHOLE_ARRAY) {
  static_assert(std::is_trivially_copyable<T>::value, "only arrays of simple types");
  if (start < 0 || start >= array.n) return 0;
  const long most = array.n - start;
  const long length = count < 0 || count > most ? most : count;
  const size_t bytes = static_cast<size_t>(length) * sizeof(T);
  return static_cast<uint>(mql_file_write(handle, array.d.get() + start, bytes) / sizeof(T));
}
// files/filereadarray: the count of elements read; a dynamic array grows as far as needed
template <class T>
uint FileReadArray(int handle, MqlArray<T> &array, int start = 0, int count = WHOLE_ARRAY) {
  static_assert(std::is_trivially_copyable<T>::value, "only arrays of simple types");
  if (start < 0) return 0;
  const long left = static_cast<long>((FileSize(handle) - FileTell(handle)) / sizeof(T));
  long length = count < 0 || count > left ? left : count;
  if (array.n < start + length && array.dyn) array.grow(start + length);
  if (length > array.n - start) length = array.n - start;
  if (length <= 0) return 0;
  const size_t bytes = static_cast<size_t>(length) * sizeof(T);
  return static_cast<uint>(mql_file_read(handle, array.d.get() + start, bytes) / sizeof(T));
}
