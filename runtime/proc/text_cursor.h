// TextCursor: takes a text of the kernel's apart, field by field, without copying. What does not
// match yields an empty field or 0 and sets failed(); nothing is ever read past the end.
#pragma once

#include <charconv>
#include <cstdint>
#include <string_view>

namespace ck::proc {

class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : text_(text) {}

  bool at_end() const { return text_.empty(); }
  bool failed() const { return failed_; }
  std::string_view rest() const { return text_; }
  char peek() const { return text_.empty() ? '\0' : text_.front(); }

  void skip(std::size_t count) {
    if (count > text_.size()) failed_ = true;
    text_.remove_prefix(count > text_.size() ? text_.size() : count);
  }
  bool accept(char c) {
    if (peek() != c || text_.empty()) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool accept(std::string_view word) {
    if (text_.substr(0, word.size()) != word) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  void expect(char c) {
    if (!accept(c)) failed_ = true;
  }
  void blanks() {
    while (peek() == ' ' || peek() == '\t') text_.remove_prefix(1);
  }
  // Up to the end of the line, which is taken as well.
  std::string_view line() {
    std::size_t end = text_.find('\n');
    std::string_view found = text_.substr(0, end);
    text_.remove_prefix(end == text_.npos ? text_.size() : end + 1);
    return found;
  }
  // Up to the next blank or the end; blanks before it are skipped.
  std::string_view word() {
    blanks();
    std::size_t end = text_.find_first_of(" \t\n");
    std::string_view found = text_.substr(0, end);
    text_.remove_prefix(found.size());
    return found;
  }
  template <typename T = std::uint64_t>
  T number(int base = 10) {
    blanks();
    T value{};
    auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value, base);
    if (error != std::errc()) {
      failed_ = true;
      return T{};
    }
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }

 private:
  std::string_view text_;
  bool failed_ = false;
};

}  // namespace ck::proc
