// Owners of OpenSSL's objects, and its errors as ours. Any thread.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <span>
#include <string>

#include "runtime/base/result.h"

namespace ck::cluster {

template <auto kFree>
struct FreeBy {
  template <typename Object>
  void operator()(Object* object) const {
    kFree(object);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, FreeBy<X509_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, FreeBy<X509_CRL_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, FreeBy<X509_REQ_free>>;
using BioPtr = std::unique_ptr<BIO, FreeBy<BIO_free_all>>;

// The reason that OpenSSL gives last; its queue of errors is empty afterwards.
Error openssl_error(std::string tried, ErrorKind kind = ErrorKind::kSystem);

BioPtr read_bio(const std::string& text);
std::string bio_text(BIO* bio);
std::string to_hex(std::span<const unsigned char> bytes);
std::string sha256(std::span<const unsigned char> bytes);  // 32 bytes

}  // namespace ck::cluster
