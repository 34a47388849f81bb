#include "ledger.hpp"

#include <cmath>
#include <cstdio>
#include <fcntl.h>
#include <stdexcept>
#include <unistd.h>

#include "clock.hpp"

namespace terminal {

std::string decimal(double value) {
  if (!std::isfinite(value)) return "0";
  char digits[400];
  std::snprintf(digits, sizeof digits, "%.8f", value);
  std::string text = digits;
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

void Ledger::open(const std::string &path) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) throw std::runtime_error("cannot open " + path);
  const off_t size = lseek(fd_, 0, SEEK_END);
  char last = '\n';
  if (size > 0 && pread(fd_, &last, 1, size - 1) == 1 && last != '\n') pending_ = "\n";
}

void Ledger::add(const Entry &entry, const Json &fields, const Json &result, const Json &more) {
  Json line;
  line.integer("v", 1).text("phase", entry.phase).integer("n", entry.n);
  line.integer("wall_ms", clock().true_ms()).integer("market_ms", clock().server_ms());
  line.text("op", entry.op).integer("magic", entry.magic).text("comment", entry.comment);
  line.integer("deadline_wall_ms", 0).raw("fields", fields.done()).raw("result", result.done());
  line.integer("pc_ms", clock().wall_us() / 1000).integer("mono_ms", clock().mono_us() / 1000);
  std::string text = line.done();
  const std::string rest = more.done();
  if (rest != "{}") text = text.substr(0, text.size() - 1) + ',' + rest.substr(1);
  pending_ += text + '\n';
}

void Ledger::flush() {
  if (pending_.empty() || fd_ < 0) return;
  // One append: the kernel takes it whole, however suddenly the process ends.
  if (write(fd_, pending_.data(), pending_.size()) != static_cast<ssize_t>(pending_.size()))
    throw std::runtime_error("the ledger cannot be written");
  pending_.clear();
}

}  // namespace terminal
