// Two hosts on paper that hand a job over: journals, engines and a link that can fail, stop and be
// started again at any point, around the real state machines. For the explorer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "driver/handover/source.h"
#include "driver/handover/target.h"

namespace ck::test {

// What is explored. The two terms differ only in a test that must find something.
struct Setting {
  driver::handover::Terms source_terms{"h", "j", {7, "a", 100, 1}, false};
  driver::handover::Terms target_terms = source_terms;
  int faults = 2;       // crashes, cuts, losses, failures together
  int admin_words = 0;  // Cancel and Resolve
  // Break a machine: may change what it wants done.
  std::function<void(driver::handover::Actions&)> break_source;
  std::function<void(driver::handover::Actions&)> break_target;
  // A journal that says durable and is not, for these records.
  std::function<bool(const driver::handover::Record&)> lies;
};

enum class Life : std::uint8_t { kGone, kHeld, kRunning };
enum class Image : std::uint8_t { kNone, kPart, kWhole };

template <typename Machine>
struct Host {
  bool up = true;
  std::optional<Machine> machine;
  std::optional<driver::handover::Record> journal;  // what is durable
  std::vector<driver::handover::Record> writes;     // on their way
  std::vector<driver::handover::Do> steps;
  std::vector<driver::handover::Message> inbox;  // on the link
  Life life = Life::kGone;
  Image image = Image::kNone;
  std::uint64_t counter = 0;  // of the life
};

struct World {
  Host<driver::handover::Source> source;
  Host<driver::handover::Target> target;
  bool link = true;
  bool forced = false;  // an administrator's word has changed something
  int faults = 0;
  int admin_words = 0;

  std::string key(bool with_budgets) const;
  std::string describe() const;
  // Nothing, or what is wrong right now.
  std::string violation() const;
  // The same once nothing more goes wrong and nothing more happens.
  std::string end_violation() const;
};

using Next = std::function<void(World world, std::string what)>;

World first_world(const Setting& setting);
// Calls `next` with every world that can come after `world`.
void for_each_next(const Setting& setting, const World& world, const Next& next);
// The world after everything has come back and nothing more goes wrong; `good` says which worlds
// (by their key without budgets) are known to end well. Appends the keys that it comes through.
// Returns what is wrong at the end, or nothing.
std::string heal(const Setting& setting, World world,
                 const std::function<bool(const std::string&)>& good,
                 std::vector<std::string>& keys, std::string* trace = nullptr);

struct Exploration {
  std::size_t worlds = 0;
  bool complete = true;   // false: more than `limit`
  std::string violation;  // with the way to it; empty if there is none
};
// `look` is called with every world.
Exploration explore(const Setting& setting, std::size_t limit,
                    const std::function<void(const World&)>& look = {});

}  // namespace ck::test
