#!/usr/bin/env python3
"""Runs the gateway of build/profile under the traffic that it exists for, so that the compiler knows which way
its branches go: the counts it writes at its end are what `make` then compiles with (cmake/module.cmake).

    bench/train.py [--build build/profile]
"""
import sys

import run

LOADS = [("plain", {"requests": 40000}), ("hit", {"requests": 20000}), ("messages", {"requests": 10000}),
         ("sse", {"seconds": 2.2, "stagger": 1000}), ("messages-sse", {"seconds": 1.2, "stagger": 1000})]


def main():
    options = run.parse(build=run.ROOT / "build" / "profile")
    bench = run.Bench(options, needs_tls=False)
    try:
        subject = bench.start("ours")
        for kind, how in LOADS:
            result = bench.load(subject, kind, connections=64, **how)
            if result["bad_status"] or not (result["answers"] or result["events"]):
                sys.exit(f"train: {kind} went wrong: {result}")
        bench.stop(subject, patience=20)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
