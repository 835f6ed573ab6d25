// An image that is received. It grows as PATH.part, which stays if the link or the daemon goes
// away, and is taken up again by the next one that has the same head. Order: open(); the manifest,
// piece by piece, unless it is there; reuse() as often as there are stores; needed() tells what to
// ask for; add() in any order; finish() once nothing is needed. Whoever uses it must ignore
// SIGXFSZ. One thread at a time.
//
// Nothing from the peer is trusted: the head, the manifest and each chunk are checked before they
// count. Errors: kRefused and kBadImage: the peer's fault; kCannotWrite: this host's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "driver/transfer/chunk_store.h"
#include "driver/transfer/extents.h"
#include "driver/transfer/outgoing_image.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::driver::transfer {

class IncomingImage {
 public:
  // `path`: in an existing folder; must not exist at finish(). Reserves the whole space on disk,
  // so that a full disk shows before the job is stopped. At most `limit` bytes are accepted.
  // kTryAgain: another process is receiving it.
  static Result<std::unique_ptr<IncomingImage>> open(const std::string& path, const ImageHead& head,
                                                     std::uint64_t limit);

  // Bytes of the manifest that are still missing, which are its last ones. 0: it is complete and
  // valid, and what follows may be called.
  std::uint64_t manifest_missing() const { return manifest_missing_; }
  // The next bytes of the manifest. With the last ones it is checked: an error then is final.
  Status add_manifest(std::span<const std::byte> bytes);

  // Takes what is here already. Returns how many bytes that were.
  Result<std::uint64_t> reuse(const ChunkStore& store);

  const std::vector<Extent>& extents() const { return extents_; }
  std::vector<ExtentRange> needed() const;
  std::uint64_t needed_bytes() const { return needed_bytes_; }
  // An extent that is there already is ignored.
  Status add(std::uint64_t index, std::span<const std::byte> bytes);

  // To disk, and to its name. `before_rename` is the caller's last word; its error leaves
  // everything as it is. The image then passes ckpt verify.
  Status finish(const std::function<Status()>& before_rename = {});
  // Removes what was received.
  Status discard();

 private:
  IncomingImage(std::string path, const ImageHead& head)
      : path_(std::move(path)), part_(path_ + ".part"), head_(head) {}
  Status open_part();
  Result<bool> same_head() const;
  Status begin_part();
  Status take_manifest(bool resumed);
  void take_present();
  Status store(std::size_t index, std::span<const std::byte> bytes);

  std::string path_;
  std::string part_;
  ImageHead head_;
  UniqueFd fd_;
  std::uint64_t manifest_missing_ = 0;
  std::vector<Extent> extents_;
  std::vector<bool> present_;
  std::uint64_t needed_bytes_ = 0;
  std::uint64_t unwritten_ = 0;  // bytes whose writeback was not started
};

}  // namespace ck::driver::transfer
