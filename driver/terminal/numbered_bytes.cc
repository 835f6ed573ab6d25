#include "driver/terminal/numbered_bytes.h"

namespace ck::driver::terminal {

bool NumberedBytes::taken(std::uint64_t number) {
  if (number < begin_ || number > begin_ + sent_) return false;
  const auto count = static_cast<std::size_t>(number - begin_);
  bytes_.erase(0, count);
  begin_ = number;
  sent_ -= count;
  return true;
}

bool NumberedBytes::resume(std::uint64_t number) {
  if (number < begin_ || number > end()) return false;
  bytes_.erase(0, static_cast<std::size_t>(number - begin_));
  begin_ = number;
  sent_ = 0;
  return true;
}

std::size_t NumberedBytes::drop() {
  const std::size_t count = bytes_.size();
  begin_ += count;
  bytes_.clear();
  sent_ = 0;
  return count;
}

}  // namespace ck::driver::terminal
