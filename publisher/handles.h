// Owners for nats.c's pointers.
#pragma once

#include <nats/nats.h>

#include <memory>

namespace publisher {

template <auto Close>
struct Closer {
  template <class T>
  void operator()(T* p) const noexcept {
    Close(p);
  }
};

using NatsOptions = std::unique_ptr<natsOptions, Closer<natsOptions_Destroy>>;
using NatsConnection = std::unique_ptr<natsConnection, Closer<natsConnection_Destroy>>;
using NatsMessage = std::unique_ptr<natsMsg, Closer<natsMsg_Destroy>>;

}  // namespace publisher
