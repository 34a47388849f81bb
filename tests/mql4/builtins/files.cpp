#include "files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "disk.hpp"
#include "simulator/faults.hpp"
#include "simulator/host.hpp"
#include "simulator/pump.hpp"

namespace {

using terminal::faults;
using terminal::Moment;

// docs.mql4.com/constants/errorswarnings/errorcodes
constexpr int TOO_MANY_FILES = 5001;
constexpr int WRONG_NAME = 5002;
constexpr int CANNOT_OPEN = 5004;
constexpr int CANNOT_DELETE = 5006;
constexpr int INVALID_FILE_HANDLE = 5007;
constexpr int NOT_TO_WRITE = 5009;
constexpr int NOT_TO_READ = 5010;
constexpr int NOT_BINARY = 5011;
constexpr int NOT_TEXT = 5012;
constexpr int WRITE_ERROR = 5016;
constexpr int NO_SUCH_FILE = 5020;
constexpr int CANNOT_REWRITE = 5021;
constexpr size_t MOST_FILES = 64;

std::map<int, MqlFile> files;
int last_handle = 0;

MqlFile *file_of(int handle, int needs) {
  const auto found = files.find(handle);
  if (found == files.end()) {
    mql_violation("a file function on handle " + std::to_string(handle) + ", which is not open");
    mql_set_error(INVALID_FILE_HANDLE);
    return nullptr;
  }
  if (needs & ~found->second.flags & FILE_WRITE) {
    mql_set_error(NOT_TO_WRITE);
    return nullptr;
  }
  if (needs & ~found->second.flags & FILE_READ) {
    mql_set_error(NOT_TO_READ);
    return nullptr;
  }
  return &found->second;
}

bool refuse(int error) {
  mql_set_error(error);
  return false;
}

int cannot_open(int error) {
  mql_set_error(error);
  return INVALID_HANDLE;
}

// Windows neither deletes nor replaces a file that somebody has open.
bool somebody_has_it(const std::string &path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool taken = flock(descriptor, LOCK_EX | LOCK_NB) != 0;
  close(descriptor);
  return taken;
}

// FILE_WRITE alone empties the file, with FILE_READ it is opened as it is or made.
int open_flags(int flags) {
  if (!(flags & FILE_WRITE)) return O_RDONLY;
  return O_RDWR | O_CREAT;
}

bool is_text(const MqlFile &file) { return file.flags & (FILE_TXT | FILE_CSV); }

bool takes_text(const MqlFile &file) {
  if (file.flags & (FILE_ANSI | FILE_BIN)) return true;
  mql_violation("a text file without FILE_ANSI is UTF-16");
  return refuse(NOT_TEXT);
}

}  // namespace

int FileOpen(const string &name, int flags, short, uint) {
  const std::string path = mql_sandbox_path(name.u8());
  if (path.empty()) return cannot_open(WRONG_NAME);
  if (!(flags & (FILE_READ | FILE_WRITE)) || files.size() >= MOST_FILES)
    return cannot_open(files.size() >= MOST_FILES ? TOO_MANY_FILES : CANNOT_OPEN);
  faults().reach("FileOpen", Moment::before);
  if (flags & FILE_WRITE)
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  MqlFile file;
  file.descriptor = open(path.c_str(), open_flags(flags) | O_CLOEXEC, 0600);
  if (file.descriptor < 0) return cannot_open(CANNOT_OPEN);
  const bool shared = flags & (FILE_SHARE_READ | FILE_SHARE_WRITE);
  if (flock(file.descriptor, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
    close(file.descriptor);
    return cannot_open(CANNOT_OPEN);
  }
  if ((flags & FILE_WRITE) && !(flags & FILE_READ) && ftruncate(file.descriptor, 0) != 0)
    return cannot_open(CANNOT_OPEN);
  file.name = name.u8();
  file.flags = flags;
  file.load();
  files[++last_handle] = file;
  return last_handle;
}

void FileClose(int handle) {
  MqlFile *file = file_of(handle, 0);
  if (file == nullptr) return;
  faults().reach("FileClose", Moment::before);
  if (!file->flush()) mql_set_error(WRITE_ERROR);
  close(file->descriptor);
  files.erase(handle);
  faults().reach("FileClose", Moment::inside);
  faults().reach("FileClose", Moment::after);
}

void FileFlush(int handle) {
  MqlFile *file = file_of(handle, 0);
  if (file == nullptr) return;
  faults().reach("FileFlush", Moment::before);
  if (!file->flush()) mql_set_error(WRITE_ERROR);
  terminal::wait_for_broker(faults().next_delay_ms("FileFlush"));
  faults().reach("FileFlush", Moment::inside);
  faults().reach("FileFlush", Moment::after);
}

bool FileSeek(int handle, long offset, int origin) {
  MqlFile *file = file_of(handle, 0);
  if (file == nullptr) return false;
  const long base = origin == SEEK_SET   ? 0
                    : origin == SEEK_CUR ? static_cast<long>(file->position)
                                         : static_cast<long>(file->image.size());
  if (base + offset < 0) return false;
  file->position = static_cast<size_t>(base + offset);
  return true;
}

ulong FileTell(int handle) {
  const MqlFile *file = file_of(handle, 0);
  return file ? file->position : 0;
}

ulong FileSize(int handle) {
  const MqlFile *file = file_of(handle, 0);
  return file ? file->image.size() : 0;
}

bool FileIsEnding(int handle) {
  const MqlFile *file = file_of(handle, FILE_READ);
  return file == nullptr || file->position >= file->image.size();
}

size_t mql_file_write(int handle, const void *data, size_t bytes) {
  MqlFile *file = file_of(handle, FILE_WRITE);
  if (file == nullptr) return 0;
  if (!(file->flags & FILE_BIN)) return static_cast<size_t>(refuse(NOT_BINARY));
  faults().reach("FileWrite", Moment::before);
  if (faults().disk.writes_fail) return static_cast<size_t>(refuse(WRITE_ERROR));
  const size_t wrote = file->write(data, bytes);
  faults().reach("FileWrite", Moment::inside);
  faults().reach("FileWrite", Moment::after);
  return wrote;
}

size_t mql_file_read(int handle, void *data, size_t bytes) {
  MqlFile *file = file_of(handle, FILE_READ);
  if (file == nullptr) return 0;
  if (!(file->flags & FILE_BIN)) return static_cast<size_t>(refuse(NOT_BINARY));
  return file->read(data, bytes);
}

uint FileWriteString(int handle, const string &text, int length) {
  MqlFile *file = file_of(handle, FILE_WRITE);
  if (file == nullptr || !takes_text(*file)) return 0;
  std::string bytes;
  for (const char16_t unit : text.s) bytes += unit < 256 ? static_cast<char>(unit) : '?';
  if (length >= 0) bytes.resize(static_cast<size_t>(length));
  faults().reach("FileWrite", Moment::before);
  if (faults().disk.writes_fail) return static_cast<uint>(refuse(WRITE_ERROR));
  return static_cast<uint>(file->write(bytes.data(), bytes.size()));
}

string FileReadString(int handle, int length) {
  MqlFile *file = file_of(handle, FILE_READ);
  if (file == nullptr || !takes_text(*file)) return string();
  const size_t end = file->image.size();
  size_t to = length < 0 ? end : std::min(end, file->position + static_cast<size_t>(length));
  size_t next = to;
  if (is_text(*file)) {
    to = std::min(file->image.find('\n', file->position), end);
    next = std::min(to + 1, end);
    if (to > file->position && to <= end && file->image[to - 1] == '\r') --to;
  }
  std::u16string units;
  for (size_t at = file->position; at < to; ++at)
    units += static_cast<unsigned char>(file->image[at]);
  file->position = next;
  return string(units);
}

uint FileWriteInteger(int handle, int value, int size) {
  if (size != 1 && size != 2 && size != 4) return 0;
  return static_cast<uint>(mql_file_write(handle, &value, static_cast<size_t>(size)));
}

int FileReadInteger(int handle, int size) {
  int value = 0;
  if (size == 1 || size == 2 || size == 4)
    mql_file_read(handle, &value, static_cast<size_t>(size));
  return value;
}

uint FileWriteLong(int handle, long value) {
  return static_cast<uint>(mql_file_write(handle, &value, sizeof value));
}

long FileReadLong(int handle) {
  long value = 0;
  mql_file_read(handle, &value, sizeof value);
  return value;
}

bool FileIsExist(const string &name, int) {
  const std::string path = mql_sandbox_path(name.u8());
  if (!path.empty() && std::filesystem::is_regular_file(path)) return true;
  return refuse(NO_SUCH_FILE);
}

bool FileDelete(const string &name, int) {
  const std::string path = mql_sandbox_path(name.u8());
  if (path.empty()) return refuse(WRONG_NAME);
  if (somebody_has_it(path)) return refuse(CANNOT_DELETE);
  faults().reach("FileDelete", Moment::before);
  const bool done = unlink(path.c_str()) == 0;
  faults().reach("FileDelete", Moment::inside);
  faults().reach("FileDelete", Moment::after);
  return done || refuse(CANNOT_DELETE);
}

bool FileMove(const string &name, int, const string &new_name, int mode_flags) {
  const std::string from = mql_sandbox_path(name.u8());
  const std::string to = mql_sandbox_path(new_name.u8());
  if (from.empty() || to.empty()) return refuse(WRONG_NAME);
  if (!std::filesystem::is_regular_file(from)) return refuse(NO_SUCH_FILE);
  if (std::filesystem::exists(to) && !(mode_flags & FILE_REWRITE)) return refuse(CANNOT_REWRITE);
  if (somebody_has_it(from) || somebody_has_it(to)) return refuse(CANNOT_REWRITE);
  faults().reach("FileMove", Moment::before);
  const bool done = rename(from.c_str(), to.c_str()) == 0;
  faults().reach("FileMove", Moment::inside);
  faults().reach("FileMove", Moment::after);
  return done || refuse(CANNOT_REWRITE);
}

long FileGetInteger(int handle, ENUM_FILE_PROPERTY_INTEGER property) {
  const MqlFile *file = file_of(handle, 0);
  if (file == nullptr) return -1;
  switch (property) {
    case FILE_EXISTS: return 1;
    case FILE_SIZE: return static_cast<long>(file->image.size());
    case FILE_POSITION: return static_cast<long>(file->position);
    case FILE_END: return file->position >= file->image.size();
    default: return FileGetInteger(string(file->name), property);
  }
}

long FileGetInteger(const string &name, ENUM_FILE_PROPERTY_INTEGER property, bool) {
  const std::string path = mql_sandbox_path(name.u8());
  struct stat facts {};
  if (path.empty() || stat(path.c_str(), &facts) != 0) {
    mql_set_error(NO_SUCH_FILE);
    return property == FILE_EXISTS ? 0 : -1;
  }
  switch (property) {
    case FILE_EXISTS: return 1;
    case FILE_CREATE_DATE: return facts.st_ctime;
    case FILE_MODIFY_DATE: return facts.st_mtime;
    case FILE_ACCESS_DATE: return facts.st_atime;
    case FILE_SIZE: return facts.st_size;
    default: return -1;
  }
}

std::vector<std::string> terminal::host::open_files() {
  std::vector<std::string> names;
  for (auto &[handle, file] : files) {
    names.push_back(file.name);
    file.flush();
    close(file.descriptor);
  }
  files.clear();
  return names;
}
