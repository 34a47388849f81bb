#include "disk.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "runtime/base.hpp"
#include "simulator/faults.hpp"
#include "simulator/host.hpp"

namespace {

std::string sandbox = ".";

}  // namespace

void terminal::host::set_folder(const std::string &folder) {
  sandbox = folder + "/MQL4/Files";
  std::filesystem::create_directories(sandbox);
}

std::string mql_sandbox_path(const std::string &name) {
  std::string path = name;
  std::replace(path.begin(), path.end(), '\\', '/');
  const bool inside = !path.empty() && path[0] != '/' && path.find(':') == std::string::npos &&
                      path.find("..") == std::string::npos;
  if (inside) return sandbox + '/' + path;
  mql_violation("a file outside MQL4/Files: " + name);
  return "";
}

void MqlFile::load() {
  image.clear();
  char bytes[65536];
  for (off_t at = 0;;) {
    const ssize_t got = pread(descriptor, bytes, sizeof bytes, at);
    if (got <= 0) break;
    image.append(bytes, static_cast<size_t>(got));
    at += got;
  }
  dirty_from = dirty_to = 0;
  position = std::min(position, image.size());
}

size_t MqlFile::write(const void *data, size_t bytes) {
  if (position + bytes > image.size()) image.resize(position + bytes);
  std::memcpy(image.data() + position, data, bytes);
  dirty_from = dirty() ? std::min(dirty_from, position) : position;
  dirty_to = std::max(dirty_to, position + bytes);
  position += bytes;
  return bytes;
}

size_t MqlFile::read(void *data, size_t bytes) {
  const size_t got = position < image.size() ? std::min(bytes, image.size() - position) : 0;
  if (got) std::memcpy(data, image.data() + position, got);
  position += got;
  return got;
}

bool MqlFile::flush() {
  if (!dirty()) return true;
  terminal::Disk &disk = terminal::faults().disk;
  const size_t wanted = dirty_to - dirty_from;
  size_t bytes = wanted;
  if (disk.flush_fails) bytes = 0;
  if (disk.full) {
    bytes = std::min(bytes, static_cast<size_t>(std::max(0L, disk.bytes_left)));
    disk.bytes_left -= static_cast<long>(bytes);
  }
  if (disk.tear_at >= 0) bytes = std::min(bytes, static_cast<size_t>(disk.tear_at));
  const ssize_t wrote = bytes ? pwrite(descriptor, image.data() + dirty_from, bytes,
                                       static_cast<off_t>(dirty_from))
                              : 0;
  if (disk.tear_at >= 0) terminal::die_now();
  dirty_from = dirty_to = 0;
  if (wrote == static_cast<ssize_t>(wanted)) return true;
  load();
  return false;
}
