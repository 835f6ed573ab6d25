// Bytes on their way from one descriptor to another, without waiting for either. Main thread only.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace ck::job {

class Relay {
 public:
  Relay(int from, int to);

  bool wants_to_read() const { return open_ && begin_ == end_; }
  bool wants_to_write() const { return begin_ != end_; }
  // Reads if nothing waits, then writes what can be written. False once the source is at its end,
  // or either has failed; what had been read before is kept.
  bool read();
  bool write();
  void add(char byte);                   // after what waits; there is always room for a few
  void add(const std::string& pending);  // of another one, before anything is read
  std::string pending() const { return {bytes_.data() + begin_, end_ - begin_}; }
  void forget_pending() { begin_ = end_ = 0; }
  bool open() const { return open_; }
  void reopen() { open_ = true; }
  int from() const { return from_; }
  int to() const { return to_; }

 private:
  static constexpr std::size_t kRoom = 256 * 1024;
  static constexpr std::size_t kSpare = 16;
  int from_, to_;
  std::vector<char> bytes_;
  std::size_t begin_ = 0, end_ = 0;
  bool open_ = true;
  bool may_wait_;  // reading once more could wait
};

}  // namespace ck::job
