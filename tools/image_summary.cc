#include "tools/image_summary.h"

#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/proc/cpu.h"

namespace ck::tools {
namespace {

namespace json = boost::json;
using image::Manifest;

const char* backing_name(image::Backing backing) {
  switch (backing) {
    case image::BACKING_ANONYMOUS:
      return "anonymous";
    case image::BACKING_FILE:
      return "file";
    case image::BACKING_VDSO:
      return "vdso";
    case image::BACKING_VVAR:
      return "vvar";
    default:
      return "unknown";
  }
}

std::string protection(const image::MappingRecord& mapping) {
  std::string text = "---p";
  if ((mapping.protection() & 1) != 0) text[0] = 'r';
  if ((mapping.protection() & 2) != 0) text[1] = 'w';
  if ((mapping.protection() & 4) != 0) text[2] = 'x';
  if (mapping.shared()) text[3] = 's';
  return text;
}

json::object thread_json(const image::ThreadRecord& thread) {
  json::object object{{"tid", thread.tid()}, {"name", thread.name()}};
  if (thread.exited()) object["exited"] = true;
  return object;
}

json::object mapping_json(const image::MappingRecord& mapping) {
  return {{"begin", mapping.begin()},
          {"end", mapping.end()},
          {"protection", protection(mapping)},
          {"backing", backing_name(mapping.backing())},
          {"name", mapping.name()}};
}

json::object descriptor_json(const Manifest& manifest, const image::DescriptorRecord& descriptor) {
  json::object object{{"fd", descriptor.fd()}, {"close_on_exec", descriptor.close_on_exec()}};
  if (descriptor.open_file() == 0) return object;
  const auto& file = manifest.open_files(static_cast<int>(descriptor.open_file()) - 1);
  object["kind"] = file.kind();
  object["name"] = file.name();
  object["flags"] = file.flags();
  object["position"] = file.position();
  if (!file.standard_stream().empty()) object["standard_stream"] = file.standard_stream();
  return object;
}

template <typename Records, typename ToJson>
json::array list(const Records& records, ToJson to_json) {
  json::array result;
  for (const auto& record : records) result.push_back(to_json(record));
  return result;
}

json::object process_json(const Manifest& manifest, const image::ProcessRecord& process,
                          std::uint64_t saved_bytes) {
  std::uint64_t mapped = 0;
  for (const auto& mapping : process.mappings()) mapped += mapping.end() - mapping.begin();
  return {{"pid", process.pid()},
          {"ppid", process.ppid()},
          {"exe", process.exe()},
          {"cwd", process.cwd()},
          {"stopped", process.stopped()},
          {"mapped_bytes", mapped},
          {"saved_bytes", saved_bytes},
          {"threads", list(process.threads(), thread_json)},
          {"mappings", list(process.mappings(), mapping_json)},
          {"descriptors", list(process.descriptors(), [&manifest](const auto& descriptor) {
             return descriptor_json(manifest, descriptor);
           })}};
}

json::object object_json(const image::ObjectRecord& object) {
  return {{"kind", image::ObjectRecord::Kind_Name(object.kind())},
          {"path", object.path()},
          {"size", object.size()},
          {"content_in_image", object.has_content()}};
}

// Against a CPU without any feature, everything that the image's had is "missing".
json::array cpu_features(const image::HostRecord& host) {
  proc::CpuFacts facts;
  for (const auto& leaf : host.cpuid()) {
    facts.leaves.push_back(
        {leaf.leaf(), leaf.subleaf(), leaf.eax(), leaf.ebx(), leaf.ecx(), leaf.edx()});
  }
  facts.xcr0 = host.xfeatures();
  json::array names;
  for (const std::string& name : proc::missing_features(facts, {})) names.emplace_back(name);
  return names;
}

struct Sizes {
  std::map<std::uint32_t, std::uint64_t> raw_by_stream;
  std::uint64_t raw = 0;
  std::uint64_t stored = 0;
};

Sizes sizes_of(const Manifest& manifest) {
  Sizes sizes;
  for (const auto& chunk : manifest.chunks()) {
    const auto& lengths = chunk.run_length();
    const auto raw = std::accumulate(lengths.begin(), lengths.end(), std::uint64_t{0});
    sizes.raw += raw;
    if (chunk.file() == 0) sizes.stored += chunk.stored_size();
    sizes.raw_by_stream[chunk.stream()] += raw;
  }
  return sizes;
}

json::array parents_json(const Manifest& manifest) {
  json::array names;
  for (const image::ParentRecord& parent : manifest.parents())
    names.emplace_back(image::parent_name({parent.hash_low(), parent.hash_high()}));
  return names;
}

json::object host_json(const image::HostRecord& host) {
  return {{"hostname", host.hostname()},
          {"kernel", host.kernel()},
          {"cpu_model", host.cpu_model()},
          {"cpu_features", cpu_features(host)}};
}

}  // namespace

json::object summarise(const image::Reader& reader) {
  const Manifest& manifest = reader.manifest();
  const image::JobRecord& job = manifest.job();
  Sizes sizes = sizes_of(manifest);
  json::array processes;
  for (int i = 0; i < manifest.processes_size(); ++i) {
    image::StreamId stream{image::StreamId::Kind::kMemory, static_cast<std::uint32_t>(i)};
    processes.push_back(
        process_json(manifest, manifest.processes(i), sizes.raw_by_stream[stream.packed()]));
  }
  return {{"image", reader.path()},
          {"writer", manifest.writer()},
          {"job", json::object{{"id", job.id()}, {"name", job.name()}}},
          {"generation", job.generation()},
          {"command", json::array(job.command().begin(), job.command().end())},
          {"uid", job.uid()},
          {"captured_unix_ns", job.captured_unix_ns()},
          {"pause_ns", job.pause_ns()},
          {"image_bytes", reader.file_bytes()},
          {"content_bytes", sizes.raw},
          {"stored_bytes", sizes.stored},
          {"chunks", manifest.chunks_size()},
          {"parents", parents_json(manifest)},
          {"host", host_json(manifest.host())},
          {"processes", std::move(processes)},
          {"objects", list(manifest.objects(), object_json)}};
}

}  // namespace ck::tools
