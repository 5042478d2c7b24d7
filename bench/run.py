#!/usr/bin/env python3
"""Measures llm-gateway against a bare relay, nginx and HAProxy, interleaved in one run on this machine.

    bench/run.py [--quick] [--pairs N] [--only NAME[,NAME]] [--build DIR] [--ours "CMD"] [--ours-env K=V ...]

Everything runs on loopback: the provider simulator answers, bench_load asks. The proxy under test has
one worker and the first CPU; the simulator and the load have the last one. CPU is the scheduler's own
count of nanoseconds (/proc/<pid>/task/*/schedstat) over all threads of a process and its children; the
end is read when the process has gone quiet, so that journal, log and database work is counted too.
A full run writes bench/RESULTS.md.
"""
import argparse
import collections
import datetime
import http.client
import json
import os
import pathlib
import platform
import shlex
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
ADMIN_KEY = "bench-admin-key-0123456789abcdef0123456789abcdef"
SECTIONS = ["cpu", "latency", "sse", "translation", "memory", "syscalls", "allocations", "hits", "start", "tls"]
CPUS = sorted(os.sched_getaffinity(0))
median = statistics.median


def say(text):
    print(text, flush=True)


def ratios_to(against, rounds):
    """The median over the rounds of each name's value divided by the other's of that round."""
    return {k: median(a / b for a, b in zip(v, rounds[against])) for k, v in rounds.items()}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A child of ours, pinned to one CPU; ended by its own pid and no other."""

    def __init__(self, command, cpu, log, env=None, stdin=None, stdout=None):
        self.log = open(log, "ab")
        pin = {cpu} if len(CPUS) > 1 else set(CPUS)
        self.p = subprocess.Popen(command, stdin=stdin, stdout=stdout or self.log, stderr=self.log, env=env,
                                  preexec_fn=lambda: os.sched_setaffinity(0, pin))

    def pids(self):
        found = [self.p.pid]
        for pid in found:
            try:
                found += [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            except OSError:
                pass
        return found

    def cpu_ns(self):
        total = 0
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except OSError:
                    pass
        return total

    def pin(self, cpu):
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {cpu})

    def quiet(self):
        """Waits until the process has nothing left to do (at most 5 s); returns its CPU nanoseconds."""
        last, calm = self.cpu_ns(), 0
        for _ in range(50):
            time.sleep(0.1)
            now = self.cpu_ns()
            calm = calm + 1 if now - last < 200_000 else 0
            last = now
            if calm == 2:
                break
        return last

    def rss_kib(self):
        rss = anon = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    rss += int(line.split()[1])
                elif line.startswith("RssAnon:"):
                    anon += int(line.split()[1])
        return rss, anon

    def stop(self, patience=0.3):
        if self.p.poll() is None:
            self.p.terminate()
            try:
                self.p.wait(patience)
            except subprocess.TimeoutExpired:
                for pid in reversed(self.pids()):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.p.wait()
        self.log.close()


Subject = collections.namedtuple("Subject", "name process port sse_port key")


class Bench:
    def __init__(self, options, needs_tls=True):
        self.o = options
        self.build = pathlib.Path(options.build)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="llm-gateway-bench-"))
        self.running = []
        self.rows = []
        self.notes = []
        self.started = 0
        self.ours_problem = None
        self.sizes = (500, 200, 50) if options.quick else (5000, 2000, 200)
        self.proxy_cpu, self.other_cpu = CPUS[0], CPUS[-1]
        self.sim_port = self.start_sim("sim", [])
        if needs_tls:
            self.make_certificate()
            self.sim_tls_port = self.start_sim("sim-tls", ["--tls", str(self.dir / "ca.pem"), str(self.dir / "key.pem")])

    # -- processes ------------------------------------------------------------------------------

    def path(self, *parts):
        return str(self.build.joinpath(*parts))

    def spawn(self, name, command, cpu, **more):
        p = Process(command, cpu, self.dir / f"{name}.log", **more)
        self.running.append(p)
        return p

    def stop(self, subject, patience=0.3):
        subject.process.stop(patience)
        self.running.remove(subject.process)

    def close(self):
        for p in reversed(self.running):
            p.stop()
        if self.o.keep:
            say(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def start_sim(self, name, more):
        port = free_port()
        self.spawn(name, [self.path("sim", "provider-sim"), "--port", str(port)] + more, self.other_cpu)
        self.wait_for(port)
        return port

    def make_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", str(self.dir / "key.pem"), "-out", str(self.dir / "ca.pem")],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait_for(self, port, process=None, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if process is not None and process.p.poll() is not None:
                raise RuntimeError(f"it exited with {process.p.returncode}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.005)
        raise RuntimeError(f"nothing listens on port {port}")

    def fill_in(self, template, name, values):
        text = (HERE / template).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = self.dir / name
        path.write_text(text)
        return str(path)

    def start(self, name, tls=False, preload=None, data=None):
        """A fresh instance of one subject that answers; raises RuntimeError when it does not."""
        self.started += 1
        port, sse_port, key, tag = free_port(), None, "none", f"{name}-{self.started}"
        if name == "relay":
            p = self.spawn(tag, [self.path("bench", "bench_relay"), str(port), str(self.sim_port)], self.proxy_cpu)
        elif name == "nginx":
            sse_port, tls_port = free_port(), free_port()
            where = self.dir / tag
            where.mkdir()
            shutil.copy(self.dir / "ca.pem", where / "ca.pem")
            conf = self.fill_in("nginx.conf", f"{tag}.conf",
                                {"DIR": where, "SIM": self.sim_port, "SIM_TLS": self.sim_tls_port, "PORT": port,
                                 "PORT_SSE": sse_port, "PORT_TLS": tls_port})
            p = self.spawn(tag, ["nginx", "-c", conf], self.proxy_cpu)
            port = tls_port if tls else port
        elif name == "haproxy":
            conf = self.fill_in("haproxy.cfg", f"{tag}.cfg", {"SIM": self.sim_port, "PORT": port})
            p = self.spawn(tag, ["haproxy", "-db", "-f", conf], self.proxy_cpu)
        else:
            p, key = self.start_ours(tag, port, tls, preload, data)
        self.wait_for(port, p)
        subject = Subject(name, p, port, sse_port or port, key)
        self.check(subject)
        return subject

    def ours_command(self):
        return shlex.split(self.o.ours) if self.o.ours else [self.path("src", "app", "llm-gateway")]

    def ours_env(self, port, data, tls=False, preload=None):
        base = f"https://localhost:{self.sim_tls_port}/v1" if tls else f"http://127.0.0.1:{self.sim_port}/v1"
        env = {"PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": str(port), "WORKERS": "1", "DATA_DIR": str(data),
               "ADMIN_API_KEY": ADMIN_KEY, "LOCAL_BASE_URL": base, "LOCAL_MODELS": "gpt-4o-mini", "LOCAL_FALLBACK_MODEL": "gpt-4o-mini",
               "PROVIDER_FALLBACK_ORDER": "local"}
        if tls:
            env["UPSTREAM_CA_FILE"] = str(self.dir / "ca.pem")
        if preload:
            env["LD_PRELOAD"] = self.path("bench", "libbench_malloc_count.so")
            env["MALLOC_COUNT_FILE"] = str(preload)
        env.update(pair.split("=", 1) for pair in self.o.ours_env)
        return env

    def start_ours(self, tag, port, tls, preload, data):
        if shutil.which(self.ours_command()[0]) is None:
            raise RuntimeError(f"{self.ours_command()[0]} is not built")
        data = data or self.dir / f"{tag}-data"
        data.mkdir(exist_ok=True)
        p = self.spawn(tag, self.ours_command(), self.proxy_cpu, env=self.ours_env(port, data, tls, preload))
        self.wait_for(port, p)
        return p, self.create_tenant(port)

    def create_tenant(self, port):
        """The largest rate limit that the gateway takes; a budget, so that reservation is at work."""
        answer = b""
        for limit in (1_000_000_000, 100_000_000, 10_000_000):
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            c.request("POST", "/api/v1/admin/tenants",
                      json.dumps({"name": f"bench-{limit}", "rate_limit": limit, "monthly_budget": 1000000}),
                      {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN_KEY}"})
            r = c.getresponse()
            answer = r.read()
            c.close()
            if r.status == 201:
                return json.loads(answer)["api_key"]
        raise RuntimeError(f"no tenant: {answer[:300]!r}")

    def check(self, subject):
        result = self.load(subject, "plain", connections=1, requests=3)
        if result["answers"] != 3 or result["bad_status"] or result["bad_length"]:
            raise RuntimeError(f"{subject.name} does not answer well: {result}")

    # -- load -----------------------------------------------------------------------------------

    def request_file(self, kind, key):
        """plain: 1,024 bytes in all, an answer near 700, not to be cached; hit: the same, cacheable.
        messages and messages-sse: plain and sse in Anthropic's words, to a provider that speaks OpenAI's."""
        path, kind, is_messages = "/v1/chat/completions", kind.removeprefix("messages-"), kind.startswith("messages")
        user, more, size, cache = "Please summarise in one sentence what a gateway is good for, and why one wants it fast.", {}, 1024, "no-store"
        if kind == "hit":
            cache = "max-age=3600"
        elif kind == "sse":
            user, more = "sim:tokens=48;rate=20ms", {"stream": True}
        elif kind == "live":
            user, more = "sim:tokens=600;rate=1s", {"stream": True}
        elif kind == "blocked":
            user, more = "sim:tokens=20000;token_bytes=200", {"stream": True}
        if is_messages:
            path, more = "/v1/messages", {**more, "max_tokens": 1000}
        pad = 0
        for _ in range(2):
            system = "x" * pad
            talk = [{"role": "user", "content": user}]
            words = {"system": system, "messages": talk} if is_messages else {
                "messages": [{"role": "system", "content": system}] + talk}
            body = json.dumps({"model": "gpt-4o-mini", **words, "temperature": 0, **more}).encode()
            head = (f"POST {path} HTTP/1.1\r\nHost: bench.local\r\nContent-Type: application/json\r\n"
                    f"Authorization: Bearer {key}\r\nCache-Control: {cache}\r\nUser-Agent: bench\r\nAccept: */*\r\n"
                    f"Content-Length: {len(body):4d}\r\n\r\n").replace("Content-Length:  ", "Content-Length: 0").encode()
            pad = max(pad, size - len(head) - len(body))
        file = self.dir / f"request-{'messages-' if is_messages else ''}{kind}-{abs(hash(key))}"
        file.write_bytes(head + body)
        return str(file)

    def load_command(self, subject, kind, options):
        port = subject.sse_port if kind.removeprefix("messages-") in ("sse", "live", "blocked") else subject.port
        command = [self.path("bench", "bench_load"), "--port", str(port), "--request", self.request_file(kind, subject.key)]
        for k, v in options.items():
            command += [f"--{k}", str(v)]
        return command

    def load(self, subject, kind, **options):
        pin = {self.other_cpu} if len(CPUS) > 1 else set(CPUS)
        out = subprocess.run(self.load_command(subject, kind, options), check=True, capture_output=True, timeout=150,
                             preexec_fn=lambda: os.sched_setaffinity(0, pin)).stdout
        return json.loads(out.splitlines()[-1])

    def hold(self, subject, kind, connections, how):
        """Connections that stay; returns the process once all of them are there."""
        p = self.spawn("hold", self.load_command(subject, kind, {"connections": connections, "hold": how,
                                                                  "stagger": connections // 4}),
                       self.other_cpu, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = p.p.stdout.readline()
        state = json.loads(line) if line else {}
        if state.get("holding") != connections or state.get("bad_status"):
            raise RuntimeError(f"{subject.name}: only {line!r} of {connections} connections are held")
        return p

    def release(self, p):
        p.p.stdin.close()
        p.p.wait(30)
        p.stop()
        self.running.remove(p)

    def measured(self, subject, kind, **options):
        """The load's result with cpu_ns added: all that the process spent on it."""
        before = subject.process.quiet()
        result = self.load(subject, kind, **options)
        result["cpu_ns"] = subject.process.quiet() - before
        if result["bad_status"] or result["bad_length"] or result["broken"]:
            self.notes.append(f"{subject.name} {kind}: {result}")
        return result

    def subjects(self, names=("relay", "nginx", "haproxy", "ours"), **more):
        found = []
        for name in names:
            if name == "ours" and self.ours_problem:
                continue
            try:
                found.append(self.start(name, **more))
            except (RuntimeError, OSError) as problem:
                if name == "ours":
                    self.ours_problem = str(problem)
                say(f"  {name} is not there: {problem}")
                self.notes.append(f"{name} is not there: {problem}")
        return found

    # -- results --------------------------------------------------------------------------------

    def row(self, what, values, unit, target="", good=None):
        if not values:
            return
        verdict = "" if good is None else ("pass" if good else "MISS")
        self.rows.append((what, values, unit, target, verdict))
        cells = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
        say(f"  {what}: {cells} {unit}  {target} {verdict}")

    def section_cpu(self):
        pairs = self.o.pairs or (3 if self.o.quick else 9)
        self.compare_cpu("", self.subjects(), pairs, 0.6 if self.o.quick else 1.0, "nginx")

    def compare_cpu(self, label, subjects, pairs, seconds, against):
        cpu, rate = collections.defaultdict(list), collections.defaultdict(list)
        for s in subjects:
            self.load(s, "plain", connections=64, seconds=0.5)
        for i in range(pairs):
            for s in subjects if i % 2 == 0 else subjects[::-1]:
                r = self.measured(s, "plain", connections=64, seconds=seconds)
                cpu[s.name].append(r["cpu_ns"] / max(1, r["answers"]) / 1e3)
                rate[s.name].append(r["per_second"])
        self.row(f"CPU a request{label}, 64 connections", {k: median(v) for k, v in cpu.items()}, "µs")
        if cpu.get(against):
            ratios = ratios_to(against, cpu)
            ours = ratios.get("ours")
            self.row(f"CPU a request{label} ÷ {against}'s, median of {pairs} pairs", ratios, "",
                     "ours ≤ 1.00" if not label else "reported", None if label or ours is None else ours <= 1.0)
        self.row(f"requests a second{label}, 64 connections", {k: median(v) for k, v in rate.items()}, "/s")
        for s in subjects:
            self.stop(s)

    def section_latency(self):
        """Once with the proxy on a CPU of its own, as it is deployed, and once with all on one CPU: the first
        has the wake-ups of idle CPUs in it, the second is nothing but the proxy's own path."""
        subjects = self.subjects()
        for label, cpu in (("", self.proxy_cpu), (", one CPU for all", self.other_cpu)):
            for s in subjects:
                s.process.pin(cpu)
            self.compare_latency(label, subjects)
            if self.proxy_cpu == self.other_cpu:
                break
        for s in subjects:
            self.stop(s)

    def compare_latency(self, label, subjects):
        rounds, seconds = (2, 0.3) if self.o.quick else (7, 0.5)
        direct = Subject("direct", None, self.sim_port, self.sim_port, "none")
        p50, p99, stalls = (collections.defaultdict(list) for _ in range(3))
        for i in range(rounds):
            for s in [direct] + (subjects if i % 2 == 0 else subjects[::-1]):
                r = self.load(s, "plain", connections=1, seconds=seconds)
                p50[s.name].append(r["p50_us"])
                p99[s.name].append(r["p99_us"])
                stalls[s.name].append(r["stalls_35ms"])
        base50, base99 = median(p50.pop("direct")), median(p99.pop("direct"))
        added = {k: median(v) - base50 for k, v in p50.items()}
        self.row(f"p50 without a proxy, 1 connection{label}", {"direct": base50}, "µs")
        self.row(f"added p50, 1 connection{label}", added, "µs")
        self.row(f"added p99, 1 connection{label}", {k: median(v) - base99 for k, v in p99.items() if k != "direct"}, "µs")
        if "relay" in added:
            ratios = {k: v / added["relay"] for k, v in added.items()}
            good = ratios["ours"] <= 1.25 if "ours" in ratios and not label else None
            self.row(f"added p50 ÷ relay's{label}", ratios, "", "" if label else "≤ 1.25", good)
        if "ours" in added and not label:
            n = {k: sum(v) for k, v in stalls.items() if k != "direct"}
            self.row("answers later than 35 ms, 1 connection", n, "", "0", n["ours"] == 0)

    def section_sse(self):
        turns = 2 if self.o.quick else 3  # of each connection; all streams end by themselves
        subjects = self.subjects()
        for streams in (400,) if self.o.quick else (200, 400, 600):
            rounds = 1 if self.o.quick else self.o.pairs or 9 if streams == 400 else 2
            cpu = collections.defaultdict(list)
            for i in range(rounds):
                for s in subjects if i % 2 == 0 else subjects[::-1]:
                    r = self.measured(s, "sse", connections=streams, requests=streams * turns, stagger=1000)
                    cpu[s.name].append(r["cpu_ns"] / max(1, r["events"]) / 1e3)
            values = {k: median(v) for k, v in cpu.items()}
            self.row(f"CPU an SSE event, {streams} streams of 50 events at 20 ms", values, "µs")
            if streams == 400 and "nginx" in cpu:
                ratios = ratios_to("nginx", cpu)
                good = ratios["ours"] <= 0.8 or values["ours"] <= 15 if "ours" in ratios else None
                self.row(f"CPU an SSE event ÷ nginx's, 400 streams, median of {rounds} pairs", ratios, "",
                         "≤ 0.8, or ≤ 15 µs", good)
        for s in subjects:
            self.stop(s)

    def section_translation(self):
        """An Anthropic client on a provider that speaks OpenAI's, beside an OpenAI client on the same."""
        rounds = 3 if self.o.quick else 7
        for s in self.subjects(("ours",)):
            for what, unit, same, other, options in (
                    ("CPU a 1 KB request", "answers", "plain", "messages", {"connections": 64, "seconds": 0.5}),
                    ("CPU an SSE event, 200 streams", "events", "sse", "messages-sse",
                     {"connections": 200, "requests": 400, "stagger": 1000})):
                cpu = collections.defaultdict(list)
                for kind in (same, other):
                    self.load(s, kind, connections=16, seconds=0.3)
                for i in range(rounds if unit == "answers" else 3):
                    for kind in (same, other) if i % 2 == 0 else (other, same):
                        r = self.measured(s, kind, **options)
                        cpu[kind].append(r["cpu_ns"] / max(1, r[unit]) / 1e3)
                self.row(f"{what}, same dialect", {"ours": median(cpu[same])}, "µs")
                self.row(f"{what}, translated", {"ours": median(cpu[other])}, "µs")
                ratio = median(b / a for a, b in zip(cpu[same], cpu[other]))
                self.row(f"{what}, translated ÷ same dialect", {"ours": ratio}, "", "≤ 1.5", ratio <= 1.5)
            self.stop(s)

    def memory_of(self, name, values):
        s = self.start(name)
        s.process.quiet()
        rss, anon = s.process.rss_kib()
        values["idle"][name], values["anon"][name] = rss / 1024, anon / 1024
        idle, live, blocked = self.sizes
        for key, kind, n, how in (("conn", "plain", idle, "answered"), ("live", "live", live, "events"),
                                  ("blocked", "blocked", blocked, "blocked")):
            if key == "blocked" and name in ("nginx", "haproxy", "relay"):
                continue
            s.process.quiet()
            before = s.process.rss_kib()[0]
            held = self.hold(s, kind, n, how)
            time.sleep(1.5 if key == "live" else 0.5)
            values[key][name] = (s.process.rss_kib()[0] - before) / n
            self.release(held)
            if key != "blocked":  # the next from a fresh one: this one's memory goes back at its own pace
                self.stop(s)
                s = self.start(name)
        self.stop(s)

    def section_memory(self):
        values = collections.defaultdict(dict)
        for name in ("nginx", "haproxy", "ours"):
            if name == "ours" and self.ours_problem:
                continue
            try:
                self.memory_of(name, values)
            except (RuntimeError, OSError) as problem:
                say(f"  {name}: {problem}")
                self.notes.append(f"memory of {name}: {problem}")
        idle, live, blocked = self.sizes
        for key, what, unit, limit in (("idle", "RSS idle", "MiB", 16), ("anon", "RssAnon idle", "MiB", 6),
                                       ("conn", f"RSS an idle keep-alive connection ({idle})", "KiB", 1),
                                       ("live", f"RSS a live stream, drained ({live})", "KiB", 8),
                                       ("blocked", f"RSS a blocked stream ({blocked})", "KiB", 64)):
            ours = values[key].get("ours")
            if values[key]:
                self.row(what, values[key], unit, f"≤ {limit} {unit}", None if ours is None else ours <= limit)

    def strace(self, subject, requests):
        self.load(subject, "plain", connections=64, requests=20000)
        subject.process.quiet()
        out = self.dir / f"strace-{subject.name}"
        worker = subject.process.pids()[-1]
        tracer = self.spawn("strace", ["strace", "-c", "-f", "-p", str(worker), "-o", str(out)], self.other_cpu)
        end = time.monotonic() + 5
        while "TracerPid:\t0" in pathlib.Path(f"/proc/{worker}/status").read_text() and time.monotonic() < end:
            time.sleep(0.01)
        result = self.load(subject, "plain", connections=64, requests=requests)
        tracer.p.send_signal(signal.SIGINT)
        tracer.p.wait(10)
        self.running.remove(tracer)
        calls = {}
        for line in out.read_text().splitlines():
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                calls[words[-1]] = int(words[3])
        top = sorted(calls.items(), key=lambda item: -item[1])[:8]
        self.notes.append(f"system calls of {subject.name}: " + ", ".join(f"{k} {v / result['answers']:.3f}" for k, v in top))
        return sum(calls.values()) / max(1, result["answers"])

    def section_syscalls(self):
        values = {}
        for name, requests in (("relay", 20000), ("nginx", 20000), ("ours", 10000 if self.o.quick else 100000)):
            if self.o.quick and name != "ours":
                continue
            for s in self.subjects((name,)):
                values[name] = self.strace(s, requests)
                self.stop(s)
        if values:
            good = values["ours"] <= 5 if "ours" in values else None
            self.row("system calls a request, 64 connections, warm", values, "", "≤ 5", good)

    def allocations(self, path):
        raw = path.read_bytes()
        return {tid: n for tid, n in struct.iter_unpack("QQ", raw) if tid}

    def section_allocations(self):
        counters = self.dir / "malloc-count"
        for s in self.subjects(("ours",), preload=counters):
            n = 5000 if self.o.quick else 20000
            self.load(s, "plain", connections=64, requests=20000)
            s.process.quiet()
            before = self.allocations(counters)
            result = self.load(s, "plain", connections=64, requests=n)
            s.process.quiet()
            after = self.allocations(counters)
            new = {tid: (after[tid] - before.get(tid, 0)) / result["answers"] for tid in after}
            names = {}
            for tid in new:
                comm = pathlib.Path(f"/proc/{s.process.p.pid}/task/{tid}/comm")
                names[tid] = comm.read_text().strip() if comm.exists() else "ended"
            self.notes.append("heap allocations a request by thread: " +
                              ", ".join(f"{names[t]} {v:.3f}" for t, v in sorted(new.items(), key=lambda i: -i[1])))
            # The worker is the thread that burned the CPU; the others (database, log) have their own row.
            busy = max(new, key=lambda t: self.thread_ns(s.process.p.pid, t))
            self.row("heap allocations a request, worker", {"ours": new[busy]}, "", "0", new[busy] < 0.001)
            self.row("heap allocations a request, other threads", {"ours": sum(new.values()) - new[busy]}, "")
            self.stop(s)

    @staticmethod
    def thread_ns(pid, tid):
        try:
            return int(pathlib.Path(f"/proc/{pid}/task/{tid}/schedstat").read_text().split()[0])
        except OSError:
            return 0

    def section_hits(self):
        for s in self.subjects(("ours",)):
            self.load(s, "hit", connections=64, seconds=0.4)
            values = []
            for _ in range(1 if self.o.quick else 5):
                r = self.measured(s, "hit", connections=64, seconds=0.5 if self.o.quick else 0.8)
                values.append(r["cpu_ns"] / max(1, r["answers"]) / 1e3)
            self.row("CPU a cache hit", {"ours": median(values)}, "µs", "≤ 15", median(values) <= 15)
            self.stop(s)

    def section_start(self):
        data = self.dir / "start-data"
        for s in self.subjects(("ours",), data=data):
            self.stop(s, 12)
            took = []
            for _ in range(3 if self.o.quick else 7):
                port = free_port()
                begin = time.monotonic()
                p = self.spawn("start", self.ours_command(), self.proxy_cpu, env=self.ours_env(port, data))
                while True:
                    try:
                        socket.create_connection(("127.0.0.1", port), 1).close()
                        break
                    except OSError:
                        if p.p.poll() is not None or time.monotonic() - begin > 10:
                            raise RuntimeError("the second start failed")
                        time.sleep(0.0002)
                took.append((time.monotonic() - begin) * 1e3)
                p.stop()
                self.running.remove(p)
            self.row("second start to first accept (with the fork)", {"ours": median(took)}, "ms", "≤ 50", median(took) <= 50)
        binary = self.ours_command()[0]
        if shutil.which(binary):
            stripped = self.dir / "stripped"
            subprocess.run(["strip", "-o", str(stripped), shutil.which(binary)], check=True)
            ranks = self.build / "src" / "token" / "ranks.bin"
            held = ranks.stat().st_size if ranks.exists() else 0
            size = (stripped.stat().st_size - held) / 1e6
            self.row("stripped binary, without the tokenizer's ranks", {"ours": size}, "MB", "≤ 5", size <= 5)

    def section_tls(self):
        pairs = 2 if self.o.quick else 5
        self.compare_cpu(", TLS upstream", self.subjects(("nginx", "ours"), tls=True), pairs,
                         0.5 if self.o.quick else 1.0, "nginx")

    # -- report ---------------------------------------------------------------------------------

    def report(self):
        cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
        names = ["relay", "nginx", "haproxy", "ours"]
        out = [f"Machine: {len(CPUS)} × {cpu}, Linux {platform.release()}, "
               f"{version(['nginx', '-v'])}, {version(['haproxy', '-v'])}. "
               f"Date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC. "
               f"1 KB request, 0.7 KB answer, loopback, one worker each; {'quick' if self.o.quick else 'full'} run.", "",
               "| what | relay | nginx | HAProxy | llm-gateway | unit | target | |", "|---|---|---|---|---|---|---|---|"]
        for what, values, unit, target, verdict in self.rows:
            cells = [f"{values[n]:.3g}" if n in values and values[n] < 1000 else f"{values[n]:.0f}" if n in values else ""
                     for n in names]
            if "direct" in values:
                what = f"{what}: {values['direct']:.3g}"
            out.append(f"| {what} | {' | '.join(cells)} | {unit} | {target} | {verdict} |")
        if self.notes:
            out += ["", "Notes:"] + [f"- {n}" for n in self.notes]
        return "\n".join(out) + "\n"


def version(command):
    r = subprocess.run(command, capture_output=True, text=True)
    return (r.stdout + r.stderr).strip().splitlines()[0].replace("nginx version: ", "").split(" 20")[0]


def parse(build=ROOT / "build" / "release"):
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--quick", action="store_true", help="under a minute; less exact, RESULTS.md is left alone")
    a.add_argument("--pairs", type=int, help="interleaved pairs of the CPU comparison (default 9)")
    a.add_argument("--only", default="", help="sections, comma separated: " + " ".join(SECTIONS))
    a.add_argument("--build", default=str(build), help="the build directory")
    a.add_argument("--ours", help="command of the gateway (default: the one of the build directory)")
    a.add_argument("--ours-env", action="append", default=[], metavar="K=V", help="more environment for it")
    a.add_argument("--keep", action="store_true", help="keep logs and data")
    return a.parse_args()


def main():
    options = parse()
    wanted = [w for w in options.only.split(",") if w] or SECTIONS
    unknown = set(wanted) - set(SECTIONS)
    if unknown:
        sys.exit(f"unknown section: {', '.join(sorted(unknown))}; there are {' '.join(SECTIONS)}")
    bench = Bench(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    try:
        for name in wanted:
            if name in ("allocations", "hits", "start") and bench.ours_problem:
                continue
            say(f"{name} ({time.monotonic() - begin:.0f} s)")
            try:
                getattr(bench, f"section_{name}")()
            except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
                bench.notes.append(f"{name} stopped: {problem}")
                say(f"  stopped: {problem}")
        text = bench.report()
    finally:
        bench.close()
    print("\n" + text)
    if not options.quick and not options.only and not bench.ours_problem:
        how = "# Results\n\nWritten by `make bench` (bench/run.py says how it measures).\n\n"
        (HERE / "RESULTS.md").write_text(how + text)
    return 1 if any(row[4] == "MISS" for row in bench.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
