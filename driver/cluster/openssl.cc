#include "driver/cluster/openssl.h"

#include <openssl/err.h>
#include <openssl/sha.h>

namespace ck::cluster {

Error openssl_error(std::string tried, ErrorKind kind) {
  unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return make_error(kind, std::move(tried) + (reason == nullptr ? "" : std::string(": ") + reason));
}

BioPtr read_bio(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string bio_text(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string to_hex(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string sha256(std::span<const unsigned char> bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(bytes.data(), bytes.size(), digest);
  return {reinterpret_cast<char*>(digest), sizeof digest};
}

}  // namespace ck::cluster
