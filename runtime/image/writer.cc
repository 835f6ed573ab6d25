#include "runtime/image/writer.h"

#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "runtime/image/append_file.h"
#include "runtime/image/basis.h"
#include "runtime/image/chunk_encoder.h"
#include "runtime/image/chunk_index.h"
#include "runtime/image/format.h"
#include "runtime/image/job_queue.h"
#include "runtime/image/page_buffer.h"
#include "runtime/image/temporary_file.h"
#include "runtime/image/threads.h"
#include "runtime/image/validate.h"
#include "runtime/image/zero_pages.h"

namespace ck::image {

namespace {

// Of all workers together. The rest of the writer (append buffer, index) stays under 20 MiB.
constexpr std::size_t kWorkerMemory = 44u << 20;
constexpr std::size_t kStackMemory = 128u << 10;
constexpr std::size_t kQueuedJobs = 64;

struct Job {
  std::uint32_t sequence = 0;
  StreamId stream;
  const ByteSource* source = nullptr;
  std::vector<Run> runs;
  ZeroPages zeros = ZeroPages::kLeaveOut;
};

struct Worker {
  PageBuffer input;
  std::unique_ptr<ChunkEncoder> encoder;
};

unsigned worker_count(const WriterOptions& options) {
  const std::size_t each =
      ChunkEncoder::memory_needed(options.codec, options.level) + kChunkBytes + kStackMemory;
  return std::clamp<unsigned>(static_cast<unsigned>(kWorkerMemory / each), 1u,
                              thread_count(options.threads));
}

std::uint64_t total_length(const std::vector<Run>& runs) {
  std::uint64_t total = 0;
  for (const Run& run : runs) total += run.length;
  return total;
}

ChunkRecord make_record(const Job& job, const std::vector<Run>& runs, const StoredChunk& stored,
                        std::size_t raw_size, Hash128 content) {
  ChunkRecord record;
  record.set_file(stored.file);
  if (stored.codec != Codec::kRaw) {
    record.set_content_low(content.low);
    record.set_content_high(content.high);
  }
  record.set_stream(job.stream.packed());
  record.set_offset(stored.offset);
  record.set_stored_size(stored.size);
  record.set_raw_size(static_cast<std::uint32_t>(raw_size));
  record.set_codec(static_cast<std::uint32_t>(stored.codec));
  record.set_hash_low(stored.hash.low);
  record.set_hash_high(stored.hash.high);
  for (const Run& run : runs) {
    record.add_run_begin(run.begin);
    record.add_run_length(run.length);
  }
  return record;
}

class ImageWriter final : public Writer {
 public:
  ImageWriter(TemporaryFile file, std::unique_ptr<AppendFile> output,
              std::shared_ptr<const Basis> basis, Progress* progress)
      : file_(std::move(file)),
        output_(std::move(output)),
        basis_(std::move(basis)),
        progress_(progress) {}
  ~ImageWriter() override {
    stopping_ = true;
    jobs_.close();
  }

  Status start(const WriterOptions& options);
  Status add(StreamId stream, const ByteSource& source, std::vector<Run> runs,
             ZeroPages zeros) override;
  Status keep(StreamId stream, StreamId as, const std::vector<Run>& runs) override;
  Status finish_chunks() override;
  Result<WriteReport> commit(Manifest manifest,
                             const std::function<Status()>& before_rename) override;
  Hash128 manifest_hash() const override { return manifest_hash_; }

 private:
  void work(Worker& worker);
  Status write_chunk(Worker& worker, Job& job);
  Result<StoredChunk> store(Worker& worker, std::span<const std::byte> content, Hash128 hash);
  Status check_records(const Manifest& manifest);
  Result<Footer> write_manifest(const Manifest& manifest);
  void fail(Error error);
  Status failure() const;

  TemporaryFile file_;
  std::unique_ptr<AppendFile> output_;
  const std::shared_ptr<const Basis> basis_;
  Progress* const progress_;
  ChunkIndex index_;
  std::uint32_t next_sequence_ = 0;
  std::atomic<std::uint64_t> bytes_in_{0};
  std::atomic<std::uint64_t> zero_bytes_{0};
  std::atomic<std::uint64_t> duplicate_bytes_{0};
  std::uint64_t kept_bytes_ = 0;
  Hash128 manifest_hash_;
  std::atomic<bool> stopping_{false};  // queued jobs need not be done any more
  mutable std::mutex failure_mutex_;
  std::optional<Error> failure_;
  JobQueue<Job> jobs_{kQueuedJobs};
  std::vector<Worker> workers_;
  std::vector<std::jthread> threads_;  // last: they end before what they use goes
};

Status ImageWriter::start(const WriterOptions& options) {
  const Header header = make_header(basis_ ? kFlagIncremental : 0);
  CK_TRY(output_->append(std::as_bytes(std::span(&header, 1))));
  const unsigned count = worker_count(options);
  for (unsigned i = 0; i < count; ++i) {
    Worker worker;
    worker.input = CK_TRY(PageBuffer::create(kChunkBytes));
    worker.encoder = CK_TRY(ChunkEncoder::create(options.codec, options.level));
    workers_.push_back(std::move(worker));
  }
  return start_threads(
      count, [this](unsigned i) { work(workers_[i]); }, threads_);
}

// What the caller must keep to; a breach would make an image that cannot be read.
Status check_runs(const std::vector<Run>& runs) {
  std::uint64_t end = 0;
  std::uint64_t total = 0;
  for (const Run& run : runs) {
    const bool last = &run == &runs.back();
    if (run.begin % kPageBytes != 0 || run.begin < end || run.length == 0 ||
        run.length > kChunkBytes - total || (!last && run.length % kPageBytes != 0)) {
      return make_error(ErrorKind::kBug, "runs to be written are not in order, aligned and small");
    }
    total += run.length;
    end = run.begin + run.length;
  }
  return {};
}

Status ImageWriter::add(StreamId stream, const ByteSource& source, std::vector<Run> runs,
                        ZeroPages zeros) {
  CK_TRY(failure());
  CK_TRY(check_runs(runs));
  if (runs.empty()) return {};
  jobs_.push({next_sequence_++, stream, &source, std::move(runs), zeros});
  return {};
}

Status ImageWriter::keep(StreamId stream, StreamId as, const std::vector<Run>& runs) {
  CK_TRY(failure());
  CK_CHECK(basis_ != nullptr);
  for (const ChunkRecord& record : basis_->records(as, runs, stream))
    index_.add(next_sequence_++, record);
  kept_bytes_ += total_length(runs);
  return {};
}

void ImageWriter::work(Worker& worker) {
  while (std::optional<Job> job = jobs_.pop()) {
    if (!stopping_) {
      try {
        if (Status status = write_chunk(worker, *job); !status.ok()) fail(status.error());
      } catch (const std::exception& error) {
        fail(make_error(ErrorKind::kSystem,
                        "cannot write " + file_.final_path() + ": " + error.what()));
      }
    }
    jobs_.done();
  }
}

Status ImageWriter::write_chunk(Worker& worker, Job& job) {
  const std::uint64_t total = total_length(job.runs);
  std::span<std::byte> content = worker.input.span().first(total);
  std::size_t at = 0;
  for (const Run& run : job.runs) {
    CK_TRY(job.source->read(run.begin, content.subspan(at, run.length)));
    at += run.length;
  }
  bytes_in_ += total;
  if (job.zeros == ZeroPages::kLeaveOut) {
    content = content.first(drop_zero_pages(content, job.runs));
    zero_bytes_ += total - content.size();
  }
  if (!content.empty()) {
    const Hash128 hash = hash128(content);
    const StoredChunk stored = CK_TRY(store(worker, content, hash));
    index_.add(job.sequence, make_record(job, job.runs, stored, content.size(), hash));
  }
  if (progress_ != nullptr) progress_->advance(total);
  return {};
}

Result<StoredChunk> ImageWriter::store(Worker& worker, std::span<const std::byte> content,
                                       Hash128 hash) {
  const auto size = static_cast<std::uint32_t>(content.size());
  auto known = index_.find(hash, size);
  if (!known && basis_) known = basis_->find(hash, size);
  if (known) {
    duplicate_bytes_ += size;
    return *known;
  }
  const EncodedChunk encoded = worker.encoder->encode(content);
  StoredChunk stored;
  stored.codec = encoded.codec;
  stored.size = static_cast<std::uint32_t>(encoded.bytes.size());
  stored.hash = encoded.codec == Codec::kRaw ? hash : hash128(encoded.bytes);
  const std::uint64_t alignment = encoded.codec == Codec::kRaw ? kPageBytes : 1;
  stored.offset = CK_TRY(output_->append(encoded.bytes, alignment));
  index_.remember(hash, size, stored);
  return stored;
}

Status ImageWriter::finish_chunks() {
  jobs_.wait_idle();
  return failure();
}

// An image that its own reader would refuse must never replace a good one.
Status ImageWriter::check_records(const Manifest& manifest) {
  const auto ours = [](Status status) -> Status {
    if (status.ok()) return status;
    Error error =
        std::move(status).error().within("refusing to write an image that could not be restarted");
    error.kind = ErrorKind::kBug;
    return error;
  };
  CK_TRY(ours(validate_records(manifest)));
  ChunkValidator validator(manifest, output_->size());
  return ours(index_.for_each_serialised([&](std::span<const std::byte> bytes) -> Status {
    Manifest one;
    CK_CHECK(one.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    return validator.check(one.chunks(0));
  }));
}

Result<Footer> ImageWriter::write_manifest(const Manifest& manifest) {
  struct State {
    XXH3_state_t* hash = XXH3_createState();
    ~State() { XXH3_freeState(hash); }
  } state;
  XXH3_128bits_reset(state.hash);
  std::uint64_t size = 0;
  const auto append = [&](std::span<const std::byte> bytes) -> Status {
    XXH3_128bits_update(state.hash, bytes.data(), bytes.size());
    size += bytes.size();
    CK_TRY(output_->append(bytes));
    return {};
  };
  const std::uint64_t offset = output_->size();
  std::string head;
  if (!manifest.SerializeToString(&head)) {
    return make_error(ErrorKind::kBug, "the manifest of " + file_.final_path() + " is too large");
  }
  CK_TRY(append(std::as_bytes(std::span(head))));
  CK_TRY(index_.for_each_serialised(append));
  if (size > kMaxManifestBytes) {
    return make_error(ErrorKind::kRefused, "cannot write " + file_.final_path() +
                                               ": the job is larger than an image can describe");
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.hash);
  return make_footer(offset, size, {hash.low64, hash.high64});
}

Result<WriteReport> ImageWriter::commit(Manifest manifest,
                                        const std::function<Status()>& before_rename) {
  CK_TRY(finish_chunks());
  manifest.clear_chunks();
  manifest.clear_parents();
  if (basis_)
    for (ParentRecord& parent : basis_->parents()) *manifest.add_parents() = std::move(parent);
  CK_TRY(check_records(manifest));
  const Footer footer = CK_TRY(write_manifest(manifest));
  manifest_hash_ = footer.manifest_hash;
  CK_TRY(output_->append(std::as_bytes(std::span(&footer, 1))));
  CK_TRY(output_->flush());
  CK_TRY(file_.sync());
  if (before_rename) CK_TRY(before_rename());
  const std::string& path = file_.final_path();
  if (basis_) CK_TRY(basis_->link_into(path.substr(0, path.rfind('/'))));
  CK_TRY(file_.publish());
  return WriteReport{bytes_in_, zero_bytes_, duplicate_bytes_, kept_bytes_, output_->size()};
}

void ImageWriter::fail(Error error) {
  const std::lock_guard lock(failure_mutex_);
  stopping_ = true;
  if (!failure_) failure_ = std::move(error);
}

Status ImageWriter::failure() const {
  const std::lock_guard lock(failure_mutex_);
  if (failure_) return *failure_;
  return {};
}

}  // namespace

Result<std::unique_ptr<Writer>> Writer::create(const std::string& final_path,
                                               const WriterOptions& options, Progress* progress) {
  TemporaryFile file = CK_TRY(TemporaryFile::create(final_path));
  auto output = CK_TRY(AppendFile::create(file.fd(), final_path));
  auto writer =
      std::make_unique<ImageWriter>(std::move(file), std::move(output), options.basis, progress);
  CK_TRY(writer->start(options));
  return std::unique_ptr<Writer>(std::move(writer));
}

}  // namespace ck::image
