#include "control.hpp"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "report.hpp"

namespace terminal {
namespace {

std::string decoded(const std::string &word) {
  std::string out;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '%' || i + 2 >= word.size()) {
      out += word[i];
      continue;
    }
    out += static_cast<char>(std::strtol(word.substr(i + 1, 2).c_str(), nullptr, 16));
    i += 2;
  }
  return out;
}

Words split(const std::string &line) {
  Words words;
  size_t from = 0;
  for (;;) {
    const size_t to = line.find(' ', from);
    words.push_back(decoded(line.substr(from, to - from)));
    if (to == std::string::npos) return words;
    from = to + 1;
  }
}

const Command *find_command(const std::string &name) {
  for (const Commands *table :
       {&market_commands(), &account_commands(), &fault_commands(), &lifecycle_commands()}) {
    const auto found = table->find(name);
    if (found != table->end()) return &found->second;
  }
  return nullptr;
}

void refuse(const std::string &why) {
  report("reply", Json().flag("ok", false).text("error", why));
}

void run(const Words &words) {
  const Command *command = find_command(words[0]);
  if (command == nullptr) return refuse("unknown command " + words[0]);
  if (words.size() < command->least || words.size() > command->most)
    return refuse(std::string("usage: ") + command->usage);
  try {
    const std::string members = command->run(words).done();
    Json reply;
    reply.flag("ok", true);
    if (members != "{}") reply.raw("data", members);
    report("reply", reply);
  } catch (const std::exception &error) {
    refuse(std::string(error.what()) + "; usage: " + command->usage);
  }
}

}  // namespace

long to_integer(const std::string &word) {
  char *end = nullptr;
  const long value = std::strtol(word.c_str(), &end, 10);
  if (word.empty() || *end) throw std::invalid_argument("not a whole number: " + word);
  return value;
}

double to_real(const std::string &word) {
  char *end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (word.empty() || *end) throw std::invalid_argument("not a number: " + word);
  return value;
}

bool to_flag(const std::string &word) {
  if (word != "0" && word != "1") throw std::invalid_argument("neither 0 nor 1: " + word);
  return word == "1";
}

void Control::read_input() {
  if (closed_) return;
  char bytes[4096];
  const ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
  if (got <= 0) {
    closed_ = true;
    deferred_.push_back("quit");
    return;
  }
  buffer_.append(bytes, static_cast<size_t>(got));
  for (size_t end = buffer_.find('\n'); end != std::string::npos; end = buffer_.find('\n')) {
    const std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    if (!line.empty()) take(line);
  }
}

void Control::take(const std::string &line) {
  const Words words = split(line);
  const Command *command = find_command(words[0]);
  if (!deferred_.empty() || (command != nullptr && command->deferred))
    deferred_.push_back(line);
  else
    run(words);
}

void Control::run_deferred() {
  while (!deferred_.empty()) {
    const std::string line = deferred_.front();
    // Off the list first: a handler it runs must not believe that work is waiting.
    deferred_.pop_front();
    run(split(line));
  }
}

Control &control() {
  static Control one;
  return one;
}

}  // namespace terminal
