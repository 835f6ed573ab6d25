// The forms that fields may have; parts of check.h. Each failure names the field. Pure; any thread.
#pragma once

#include <string_view>

#include "driver/protocol/check.h"

namespace ck::protocol {

Error bad_field(std::string_view field, std::string_view why);

Status check_text(std::string_view field, std::string_view text, std::size_t longest);  // one line
Status check_pem(std::string_view field, std::string_view pem);
Status check_number(std::string_view field, double value);       // finite, not negative
Status check_process(std::string_view field, std::uint64_t id);  // or 0
Status check_count(std::string_view field, int count, int most);

// Messages that are parts of others.
Status check_refusal(const wire::Refusal& refusal);
Status check_report(const wire::HostReport& report);
Status check_jobs(const wire::JobList& list);

}  // namespace ck::protocol
