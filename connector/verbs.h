// The verbs beside `run`. Each prints its results to standard output, returns the exit code, and
// throws what remedy_for() knows.
#pragma once

#include "connector/cli.h"
#include "connector/config.h"

namespace connector {

int check(const Config& config, const CheckCommand& command);
int status(const Config& config, const StatusCommand& command);
int tail(const Config& config, const TailCommand& command);
int seek(const Config& config, const SeekCommand& command);
int mark(const Config& config, const MarkCommand& command);
int replay(const Config& config, const ReplayCommand& command);
int snapshot(const Config& config, const SnapshotCommand& command);
int verify(const Config& config, const VerifyCommand& command);
int teardown(const Config& config, const TeardownCommand& command);
int version();

}  // namespace connector
