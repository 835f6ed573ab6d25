// Settings as job.json and the job's images keep them, but for the request signal, which is beside
// them there. Any thread.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "runtime/base/result.h"
#include "runtime/job/settings.h"

namespace ck::job {

boost::json::object settings_json(const Settings& settings);
// `what`: for the error.
Result<Settings> parse_settings(const boost::json::object& object, const std::string& what);

}  // namespace ck::job
