#include "driver/cluster/key.h"

#include <openssl/pem.h>
#include <openssl/rand.h>

namespace ck::cluster {

Result<Seed> make_seed() {
  Seed seed;
  if (RAND_priv_bytes(seed.data(), seed.size()) != 1) return openssl_error("make a secret");
  return seed;
}

Result<Key> Key::make() {
  return from_seed(CK_TRY(make_seed()));
}

Result<Key> Key::from_seed(const Seed& seed) {
  KeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  if (!key) return openssl_error("make a key");
  return Key(std::move(key));
}

Result<Key> Key::from_pem(const std::string& pem) {
  // No password is asked for: that would wait for a terminal.
  auto no_password = [](char*, int, int, void*) { return -1; };
  KeyPtr key(PEM_read_bio_PrivateKey(read_bio(pem).get(), nullptr, no_password, nullptr));
  if (!key) return openssl_error("read a private key", ErrorKind::kRefused);
  return Key(std::move(key));
}

Result<std::string> Key::to_pem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(bio.get(), get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_error("write a private key");
  }
  return bio_text(bio.get());
}

Result<std::string> make_request(const Key& key) {
  RequestPtr request(X509_REQ_new());
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), nullptr) == 0 ||
      PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    return openssl_error("ask for a certificate");
  }
  return bio_text(bio.get());
}

Result<KeyPtr> key_of_request(const std::string& pem) {
  RequestPtr request(PEM_read_bio_X509_REQ(read_bio(pem).get(), nullptr, nullptr, nullptr));
  KeyPtr key(request ? X509_REQ_get_pubkey(request.get()) : nullptr);
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      X509_REQ_verify(request.get(), key.get()) != 1) {
    return openssl_error("read a request for a certificate", ErrorKind::kRefused);
  }
  return key;
}

Result<std::string> key_fingerprint(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return openssl_error("read a public key");
  std::string digest = sha256({der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return to_hex({reinterpret_cast<const unsigned char*>(digest.data()), digest.size()});
}

}  // namespace ck::cluster
