// Private keys (Ed25519) and what proves that somebody has one. Any thread.
#pragma once

#include <array>
#include <string>

#include "driver/cluster/openssl.h"

namespace ck::cluster {

using Seed =
    std::array<unsigned char, 32>;  // what an Ed25519 key is made from: as secret as the key

class Key {
 public:
  static Result<Key> make();
  static Result<Key> from_seed(const Seed& seed);
  static Result<Key> from_pem(const std::string& pem);  // private

  Result<std::string> to_pem() const;
  EVP_PKEY* get() const { return key_.get(); }

 private:
  explicit Key(KeyPtr key) : key_(std::move(key)) {}
  KeyPtr key_;
};

Result<Seed> make_seed();

// A certificate signing request, PEM: the key's owner asks for a certificate; who gives it decides
// about its name.
Result<std::string> make_request(const Key& key);
// The public key of a request whose signature is good.
Result<KeyPtr> key_of_request(const std::string& pem);

// SHA-256 of the public key, in hexadecimal digits.
Result<std::string> key_fingerprint(EVP_PKEY* key);

}  // namespace ck::cluster
