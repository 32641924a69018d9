#include "pg/whole_transactions.h"

#include <cassert>
#include <utility>
#include <variant>

namespace pg {

WholeTransactions::WholeTransactions(std::optional<SpoolSettings> spool) {
  if (spool) spool_.emplace(std::move(*spool));
}

Arrival WholeTransactions::next(ReplicationStream& slot) {
  return replaying() ? replay() : receive(slot.next());
}

Arrival WholeTransactions::receive(const Arrival& arrival) {
  assert(!replaying());
  const auto* data = std::get_if<WalData>(&arrival);
  if (data == nullptr || !spool_) return arrival;
  ++arrivals_;
  if (const auto message = parse_stream_message(data->message)) {
    return std::visit([&](const auto& known) { return on(known, data->lsn); }, *message);
  }
  if (spool_->in_block()) {
    spool_->add(data->message, data->lsn, arrivals_);
    return SetAside{data->lsn};
  }
  if (const auto relation = relation_described(data->message)) {
    newest_[relation->value] = {.arrival = arrivals_, .message = std::string(data->message)};
  }
  return arrival;
}

Arrival WholeTransactions::on(const StreamStart& start, Lsn lsn) {
  spool_->start(start);
  return SetAside{lsn};
}

Arrival WholeTransactions::on(const StreamStop&, Lsn lsn) {
  spool_->stop();
  return SetAside{lsn};
}

Arrival WholeTransactions::on(const StreamAbort& abort, Lsn lsn) {
  spool_->abort(abort);
  return SetAside{lsn};
}

Arrival WholeTransactions::on(const StreamCommit& commit, Lsn lsn) {
  replay_.emplace(Replay{.spooled = spool_->commit(commit.xid),
                         .end = commit,
                         .message = begin_message(commit),
                         .outdated = {}});
  return WalData{.lsn = lsn, .message = replay_->message};
}

Arrival WholeTransactions::replay() {
  assert(replaying());
  if (const auto spooled = replay_->spooled.next()) {
    replayed(*spooled);
    return WalData{.lsn = spooled->lsn, .message = spooled->message};
  }
  if (!replay_->outdated.empty()) {
    const auto relation = replay_->outdated.extract(replay_->outdated.begin());
    return WalData{.lsn = {}, .message = newest_.at(relation.value()).message};
  }
  last_message_ = commit_message(replay_->end);
  const Lsn end = replay_->end.commit.end_lsn;
  replay_.reset();
  return WalData{.lsn = end, .message = last_message_};
}

void WholeTransactions::replayed(const SpooledMessage& spooled) {
  const auto relation = relation_described(spooled.message);
  if (!relation) return;
  Described& newest = newest_[relation->value];
  if (newest.arrival > spooled.arrival) {
    replay_->outdated.insert(relation->value);
  } else {
    newest = {.arrival = spooled.arrival, .message = std::string(spooled.message)};
    replay_->outdated.erase(relation->value);
  }
}

}  // namespace pg
