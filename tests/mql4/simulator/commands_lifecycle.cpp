// Commands: the program's life.
#include <stdexcept>

#include "broker.hpp"
#include "host.hpp"
#include "clock.hpp"
#include "control.hpp"
#include "program.hpp"
#include "report.hpp"
#include "runtime/program.hpp"
#include "zmq_handles.hpp"

namespace terminal {
namespace {

Json input(const Words &words) {
  if (!mql_set_input(words[1], words[2]))
    throw std::invalid_argument("no such input, or no value of its type: " + words[1]);
  return {};
}

Json folder(const Words &words) {
  host::set_folder(words[1]);
  host::load_globals(words[1] + "/globals.txt");
  return {};
}

Json init(const Words &) {
  if (program().running()) throw std::runtime_error("it runs already");
  return Json().integer("code", program().init());
}

Json reinit(const Words &words) {
  program().deinit(static_cast<int>(to_integer(words[1])));
  return Json().integer("code", program().init());
}

Json chart(const Words &words) {
  program().deinit(REASON_OF_CHART_CHANGE);
  program().set_chart(words[1]);
  return Json().integer("code", program().init());
}

Json deinit(const Words &words) {
  program().deinit(static_cast<int>(to_integer(words[1])));
  return {};
}

Json timer(const Words &words) {
  const long ms = to_integer(words[1]);
  if (ms < 1 || ms > 1000) throw std::invalid_argument("1 to 1000 ms");
  program().set_granularity(ms);
  return {};
}

Json gv(const Words &words) {
  if (words.size() > 2) host::set_global(words[1], to_real(words[2]));
  double value = 0;
  Json reply;
  const bool there = host::get_global(words[1], value);
  reply.flag("exists", there).real("value", value);
  return reply;
}

Json properties(const Words &) {
  std::vector<std::string> lines;
  for (const std::string &line : mql_properties()) lines.push_back(json_text(line));
  return Json().raw("properties", json_array(lines));
}

Json stat(const Words &) {
  Json reply;
  reply.integer("violations", violations()).flag("running", program().running());
  reply.integer("sockets", zmq_open_sockets());
  reply.integer("true_ms", clock().true_ms()).integer("pc_ms", clock().wall_us() / 1000);
  return reply.integer("server_ms", clock().server_ms());
}

Json quit(const Words &) {
  program().deinit(REASON_OF_CLOSE);
  host::save_globals();
  control().close();
  return {};
}

}  // namespace

const Commands &lifecycle_commands() {
  static const Commands table = {
      {"input", {input, 3, 3, "input NAME VALUE: seen at the next init", true}},
      {"folder", {folder, 2, 2, "folder PATH: where MQL4/Files is"}},
      {"init", {init, 1, 1, "init", true}},
      {"reinit", {reinit, 2, 2, "reinit REASON", true}},
      {"chart", {chart, 2, 2, "chart SYMBOL", true}},
      {"deinit", {deinit, 2, 2, "deinit REASON", true}},
      {"timer", {timer, 2, 2, "timer MS: granularity"}},
      {"gv", {gv, 2, 3, "gv NAME [VALUE]"}},
      {"properties", {properties, 1, 1, "properties"}},
      {"stat", {stat, 1, 1, "stat"}},
      {"quit", {quit, 1, 1, "quit", true}},
  };
  return table;
}

}  // namespace terminal
