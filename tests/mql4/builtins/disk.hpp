// disk.hpp - one open file of the sandbox: an image in memory, and what of it the disk has.
#pragma once
#include <string>

struct MqlFile {
  int descriptor = -1;
  std::string name;
  std::string image;      // as the program sees it
  size_t position = 0;
  size_t dirty_from = 0;  // the changed range; empty if dirty_to is not above dirty_from
  size_t dirty_to = 0;
  int flags = 0;

  bool dirty() const { return dirty_to > dirty_from; }
  size_t write(const void *data, size_t bytes);
  size_t read(void *data, size_t bytes);
  // Hands the buffer to the disk, subject to the injected faults. False: some of it is lost, and
  // the image is again what the disk has.
  bool flush();
  void load();
};

// The path of a sandbox file; "" (and a violation) for a name that would leave the sandbox.
std::string mql_sandbox_path(const std::string &name);
