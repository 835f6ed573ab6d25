// What `ckd invite` prints and `ckd join` reads: where the cluster is, how to know that it is the
// right one, and a secret that is good for one join. As secret as a key until it is used or has
// expired. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "driver/cluster/key.h"

namespace ck::cluster {

struct Token {
  std::string address;    // of the daemon that invites
  std::string host;       // its name in the cluster
  std::string authority;  // SHA-256 of the CA's certificate, 32 bytes
  Seed seed{};            // of the guest's key
};

std::string format_token(const Token& token);  // one word of letters, digits, '-' and '_'
// White space around it does not matter; a letter that was lost or mistyped is noticed.
Result<Token> parse_token(std::string_view text);

}  // namespace ck::cluster
