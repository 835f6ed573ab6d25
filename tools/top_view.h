// What ckpt top shows, as lines of a screen. Pure.
#pragma once

#include <string>
#include <vector>

namespace ck::tools {

struct TopView {
  std::string time;                                   // of the view
  std::vector<std::vector<std::string>> hosts, jobs;  // rows of tables, their headings first
  std::string trouble;  // why it is not newer; empty: it is as new as can be
};

// At most `rows` lines of at most `columns` characters. Where not all has room, each table has a
// line that says how much is missing.
std::vector<std::string> top_lines(const TopView& view, unsigned columns, unsigned rows);

}  // namespace ck::tools
