// Bytes for the other end of connections that break: numbered from the first one ever, and kept
// until that end has said that it has taken them. Pure; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ck::driver::terminal {

class NumberedBytes {
 public:
  explicit NumberedBytes(std::size_t most) : most_(most) {}

  // How many more may be added: who adds no more than that never has more than `most`.
  std::size_t room() const { return bytes_.size() < most_ ? most_ - bytes_.size() : 0; }
  void add(std::string_view bytes) { bytes_ += bytes; }

  std::string_view unsent(std::size_t most) const {
    return std::string_view(bytes_).substr(sent_, most);
  }
  void sent(std::size_t count) { sent_ += count; }

  std::uint64_t begin() const { return begin_; }  // the first that is kept
  std::uint64_t end() const { return begin_ + bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  // The other end has all before `number`. False: that cannot be, and nothing has changed.
  bool taken(std::uint64_t number);
  // The same on a new connection: what it has not is sent again.
  bool resume(std::uint64_t number);
  // On a new connection to who has nothing.
  void send_all_again() { sent_ = 0; }
  // What is kept is given up; returns how many bytes that were.
  std::size_t drop();

 private:
  std::size_t most_;
  std::string bytes_;
  std::uint64_t begin_ = 0;
  std::size_t sent_ = 0;  // of bytes_
};

}  // namespace ck::driver::terminal
