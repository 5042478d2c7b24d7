#!/usr/bin/env python3
"""Make catalogue/catalogue.tsv, the price catalogue, from two published data sets. Facts only.

    tools/make_catalogue.py --litellm FILE --litellm-date 2026-04-01 --genai FILE --as-of 2026-11-23 \\
        -o catalogue/catalogue.tsv

Rules, in this order:
 1. litellm names the models: its rows are taken first, one a provider and model name, when they
    have a price per token and a mode that the gateway meters in tokens of one kind.
 2. A price of nothing for a direction that is metered is believed only where it is plausible (moderation,
    ollama, names that end in ":free"); elsewhere it means "not entered" and the row is left out,
    because a wrong zero would be free use in silence.
 3. genai-prices fills: rates that litellm does not state, when both sources agree on the base
    input and output price, and whole models that litellm does not have.
 4. Where the two disagree on a rate that both state, litellm's stands, except when genai-prices
    dates the change later than --litellm-date. Both cases are counted; -v lists them.
 5. A price by time of day becomes its dearest hour. A price that begins after --as-of is ignored.
 6. More tiers than a price can hold are merged upward: the dearer rate begins earlier.
 7. A price above PLAUSIBLE_USD_PER_MTOK is a slip of units and its row is left out.
 8. The context window is the larger of the two sources': it bounds what an input may cost.

All arithmetic is decimal. The same inputs give the same bytes.
"""
import argparse
import collections
import decimal
import json
import pathlib
import re
import sys

decimal.getcontext().prec = 50
PLAUSIBLE_USD_PER_MTOK = 1500  # the dearest real one so far is 600
TIERS_MAX = 3  # PRICE_TIERS_MAX of src/chat/price.h
NUSD_PER_USD = decimal.Decimal(10) ** 9
TOKENS_PER_MTOK = decimal.Decimal(10) ** 6
RATES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")
MODES = {"chat": "chat", "completion": "completion", "responses": "responses",
         "embedding": "embedding", "moderation": "moderation"}

LITELLM_RATES = {"input": "input_cost_per_token", "output": "output_cost_per_token",
                 "cache_read": "cache_read_input_token_cost",
                 "cache_write_5m": "cache_creation_input_token_cost",
                 "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
                 "reasoning": "output_cost_per_reasoning_token"}
GENAI_RATES = {"input": "input_mtok", "output": "output_mtok", "cache_read": "cache_read_mtok",
               "cache_write_5m": "cache_write_mtok", "cache_write_1h": "cache_write_1h_mtok",
               "reasoning": "output_reasoning_mtok"}
TIER_KEY = re.compile(r"^input_cost_per_token_above_(\d+)k_tokens$")

LITELLM_PROVIDERS = {"text-completion-openai": "openai", "azure_text": "azure", "bedrock_converse": "bedrock",
                     "cohere_chat": "cohere", "fireworks_ai-embedding-models": "fireworks_ai",
                     "text-completion-codestral": "codestral"}
GENAI_PROVIDERS = {"google": "gemini", "aws": "bedrock", "x-ai": "xai", "fireworks": "fireworks_ai",
                   "together": "together_ai", "moonshotai": "moonshot", "voyageai": "voyage", "zhipuai": "zai"}
SUBSCRIPTIONS = {"github_copilot", "github-copilot", "chatgpt", "cursor"}  # priced by the seat
PREFIXES = {"openai": ("openai/",), "bedrock": ("bedrock/converse/", "bedrock/"), "codestral":
            ("text-completion-codestral/", "codestral/"), "azure": ("azure/",), "cohere": ("cohere/",)}


class Skipped(Exception):
    """Why a row of a source is left out."""


def nusd_per_mtok(value, tokens):
    """A price in USD for that many tokens, as nano-USD per million tokens."""
    exact = decimal.Decimal(value) * NUSD_PER_USD * TOKENS_PER_MTOK / tokens
    whole = exact.to_integral_value(rounding=decimal.ROUND_CEILING)  # a price never rounds down
    if whole < 0 or whole > PLAUSIBLE_USD_PER_MTOK * NUSD_PER_USD:
        raise Skipped("a price that is not plausible")
    return int(whole)


def is_number(value):
    return isinstance(value, (int, decimal.Decimal)) and not isinstance(value, bool)


class Row:
    def __init__(self, provider, model, mode):
        self.provider, self.model, self.mode = provider, model, mode
        self.base = dict.fromkeys(RATES)  # nano-USD per Mtok; None: not stated
        self.tiers = {}  # above_prompt_tokens -> rates
        self.per_request = 0
        self.context = self.output_max = None
        self.flags = set()
        self.source = "litellm"

    def is_priced(self):
        return self.base["input"] is not None or self.base["output"] is not None

    def is_zero(self):
        rates = [self.base] + list(self.tiers.values())
        return self.per_request == 0 and not any(r[k] for r in rates for k in RATES)

    def zero_is_plausible(self):
        return self.mode == "moderation" or self.provider == "ollama" or self.model.endswith(":free")

    def check_zero(self):
        if self.zero_is_plausible():
            return
        if self.is_zero():
            raise Skipped("a price of zero that is not plausible")
        halves = [self.base["input"] or self.per_request]
        if self.mode in ("chat", "completion", "responses"):
            halves.append(self.base["output"])
        if not all(halves):
            raise Skipped("one direction has no price")

    def merge_tiers(self):
        """Keeps the highest threshold's rates for as many tiers as fit; the dearer begins earlier."""
        while len(self.tiers) > TIERS_MAX:
            first, second = sorted(self.tiers)[:2]
            lower, upper = self.tiers[first], self.tiers.pop(second)
            self.tiers[first] = {k: max((v for v in (lower[k], upper[k]) if v is not None), default=None)
                                 for k in RATES}

    def line(self):
        def number(value):
            return "-" if value is None else str(value)

        tiers = ";".join(f"{above}:" + ",".join(number(self.tiers[above][k]) for k in RATES)
                         for above in sorted(self.tiers))
        return "\t".join([self.provider, self.model, self.mode, *(number(self.base[k]) for k in RATES),
                          str(self.per_request), number(self.context), number(self.output_max),
                          tiers or "-", ",".join(sorted(self.flags)) or "-", self.source])


def litellm_provider(name):
    if name.startswith("vertex_ai"):
        return "vertex_ai"
    return LITELLM_PROVIDERS.get(name, name)


def bare_name(provider, key):
    for prefix in PREFIXES.get(provider, ()) + (provider + "/",):
        if key.startswith(prefix):
            return key[len(prefix):]
    return key


def litellm_rates(entry, suffix):
    rates = dict.fromkeys(RATES)
    for name, key in LITELLM_RATES.items():
        value = entry.get(key + suffix)
        if is_number(value):
            rates[name] = nusd_per_mtok(value, 1)
    return rates


def litellm_tiers(row, entry):
    for key in entry:
        match = TIER_KEY.match(key)
        if match:
            row.tiers[int(match[1]) * 1000] = litellm_rates(entry, f"_above_{match[1]}k_tokens")
    for step in entry.get("tiered_pricing") or []:
        if "range" not in step or "input_cost_per_token" not in step:
            continue
        above = int(step["range"][0])
        rates = litellm_rates(step, "")
        if above == 0:
            row.base = {k: rates[k] if rates[k] is not None else row.base[k] for k in RATES}
        else:
            row.tiers[above] = rates
    row.merge_tiers()


def litellm_row(key, entry):
    provider = litellm_provider(entry.get("litellm_provider", ""))
    mode = MODES.get(entry.get("mode"))
    if provider in SUBSCRIPTIONS:
        raise Skipped("priced by subscription")
    if mode is None:
        raise Skipped(f"mode {entry.get('mode')}")
    row = Row(provider, bare_name(provider, key), mode)
    if not row.model or re.search(r"\s", row.model):
        raise Skipped("no usable name")
    row.base = litellm_rates(entry, "")
    litellm_tiers(row, entry)
    if is_number(entry.get("input_cost_per_request")):
        row.per_request = int((entry["input_cost_per_request"] * NUSD_PER_USD)
                              .to_integral_value(rounding=decimal.ROUND_CEILING))
    limits = [entry.get(k) for k in ("max_input_tokens", "max_tokens")]
    row.context = next((int(v) for v in limits if is_number(v) and v > 0), None)
    if is_number(entry.get("max_output_tokens")) and entry["max_output_tokens"] > 0:
        row.output_max = int(entry["max_output_tokens"])
    for flag, member in (("reasoning", "supports_reasoning"), ("tools", "supports_function_calling"),
                         ("vision", "supports_vision"), ("schema", "supports_response_schema")):
        if entry.get(member) is True:
            row.flags.add(flag)
    if not row.is_priced():
        raise Skipped("no price per token")
    if is_number(entry.get("output_cost_per_audio_token")):
        raise Skipped("answers in audio tokens, which usage does not tell apart")
    row.check_zero()
    return row


def matches(rule, name):
    kind, value = next(iter(rule.items()))
    if kind == "or":
        return any(matches(r, name) for r in value)
    if kind == "and":
        return all(matches(r, name) for r in value)
    test = {"equals": lambda: name == value, "starts_with": lambda: name.startswith(value),
            "ends_with": lambda: name.endswith(value), "contains": lambda: value in name,
            "regex": lambda: re.search(value, name) is not None}
    return test[kind]()


def equal_names(rule):
    kind, value = next(iter(rule.items()))
    if kind == "or":
        return [n for r in value for n in equal_names(r)]
    return [value] if kind == "equals" else []


def genai_prices(model, as_of):
    """(rates, tiers, per_request, since) in force at as_of, at the dearest hour."""
    choices = model["prices"] if isinstance(model["prices"], list) else [{"prices": model["prices"]}]
    since, dated, hours = "", None, []
    for choice in choices:
        constraint = choice.get("constraint") or {}
        if "start_time" in constraint:
            hours.append(choice["prices"])
        elif constraint.get("start_date", "") <= as_of and constraint.get("start_date", "") >= since:
            since, dated = constraint.get("start_date", ""), choice["prices"]
    candidates = [genai_rates(p) for p in [dated] + hours if p is not None]
    if not candidates:
        raise Skipped("no price in force")
    dearest = max(candidates, key=lambda c: ((c[0]["output"] or 0), (c[0]["input"] or 0)))
    return (*dearest, since)


def genai_rates(prices):
    base, tiers = dict.fromkeys(RATES), collections.defaultdict(lambda: dict.fromkeys(RATES))
    for name, key in GENAI_RATES.items():
        value = prices.get(key)
        if isinstance(value, dict):
            base[name] = nusd_per_mtok(value["base"], TOKENS_PER_MTOK)
            for tier in value["tiers"]:
                tiers[int(tier["start"])][name] = nusd_per_mtok(tier["price"], TOKENS_PER_MTOK)
        elif is_number(value):
            base[name] = nusd_per_mtok(value, TOKENS_PER_MTOK)
    requests = prices.get("requests_kcount")
    per_request = 0
    if is_number(requests):
        per_request = int((requests * NUSD_PER_USD / 1000).to_integral_value(rounding=decimal.ROUND_CEILING))
    return base, dict(tiers), per_request


class Catalogue:
    def __init__(self, options):
        self.options = options
        self.rows = {}
        self.count = collections.Counter()
        self.skipped = collections.defaultdict(list)
        self.disagreements = []

    def skip(self, source, name, why):
        self.skipped[f"{source}: {why}"].append(name)

    def take_litellm(self, entries):
        for key, entry in entries.items():
            if key == "sample_spec":
                continue
            try:
                row = litellm_row(key, entry)
            except Skipped as why:
                self.skip("litellm", key, str(why))
                continue
            old = self.rows.get((row.provider, row.model))
            if old and (old.base["output"] or 0, old.base["input"] or 0) >= (
                    row.base["output"] or 0, row.base["input"] or 0):
                self.skip("litellm", key, "the same name twice; the dearer stands")
                continue
            self.rows[row.provider, row.model] = row

    def take_genai(self, providers):
        for provider in providers:
            name = GENAI_PROVIDERS.get(provider["id"], provider["id"])
            if name in SUBSCRIPTIONS:
                self.skip("genai-prices", provider["id"], "priced by subscription")
                continue
            mine = [row for row in self.rows.values() if row.provider == name]
            done = set()
            for model in provider["models"]:
                try:
                    facts = genai_prices(model, self.options.as_of)
                except Skipped as why:
                    self.skip("genai-prices", f"{name}/{model['id']}", str(why))
                    continue
                for row in mine:
                    if row.model not in done and matches(model["match"], row.model):
                        done.add(row.model)
                        self.fill(row, model, facts)
                self.add(name, model, facts)

    def fill(self, row, model, facts):
        base, tiers, per_request, since = facts
        stated = [k for k in RATES if row.base[k] is not None and base[k] is not None]
        differing = [k for k in stated if row.base[k] != base[k]]
        window = model.get("context_window")
        if is_number(window) and row.context is not None and window > row.context:
            row.context = int(window)
        if differing:
            newer = since > self.options.litellm_date
            self.count["disagree: genai-prices dates a later change, taken" if newer
                       else "disagree: litellm stands"] += 1
            self.disagreements.append(f"{row.provider}/{row.model}: " + ", ".join(
                f"{k} {row.base[k]} against {base[k]}" for k in differing) + (" (later: taken)" if newer else ""))
            if newer:
                row.base, row.tiers, row.per_request, row.source = dict(base), dict(tiers), per_request, "genai"
                row.merge_tiers()
            return
        if stated:
            self.count["agree"] += 1
        if row.base["input"] is None or base["input"] is None:
            return
        filled = [k for k in RATES if row.base[k] is None and base[k] is not None]
        for k in filled:
            row.base[k] = base[k]
        if not row.tiers and tiers:
            row.tiers = dict(tiers)
            filled.append("tiers")
        else:
            for above, rates in row.tiers.items():  # a threshold counts the same with one token's difference
                other = next((t for a, t in tiers.items() if abs(a - above) <= 1), {})
                for k in RATES:
                    if rates[k] is None and other.get(k) is not None:
                        rates[k] = other[k]
                        filled.append(k)
        row.merge_tiers()
        if filled:
            row.source = "litellm+genai"
            self.count["filled by genai-prices"] += 1

    def add(self, provider, model, facts):
        base, tiers, per_request, _ = facts
        names = equal_names(model["match"])
        if matches(model["match"], model["id"]):
            names.append(model["id"])
        for name in sorted(set(names)):
            label = f"{provider}/{name}"
            if (provider, name) in self.rows:
                continue
            if not name or re.search(r"\s", name):
                self.skip("genai-prices", label, "no usable name")
            elif provider == "gemini" and not name.startswith(("gemini", "gemma", "learnlm")):
                self.skip("genai-prices", label, "not served by that API")
            elif re.search(r"(^|[-/])(tts|whisper|transcribe|realtime|live|audio|image|omni-flash)($|[-/])", name):
                self.skip("genai-prices", label, "answers or asks in tokens of another kind")
            elif base["input"] is None and base["output"] is None:
                self.skip("genai-prices", label, "no price per token")
            else:
                row = Row(provider, name, "embedding" if "embed" in name else "chat")
                row.base, row.tiers, row.per_request, row.source = dict(base), dict(tiers), per_request, "genai"
                row.merge_tiers()
                if is_number(model.get("context_window")):
                    row.context = int(model["context_window"])
                try:
                    row.check_zero()
                except Skipped as why:
                    self.skip("genai-prices", label, str(why))
                    continue
                self.rows[provider, name] = row
                self.count["added by genai-prices"] += 1

    def text(self):
        o = self.options
        head = [
            "# Model prices and limits. Made by tools/make_catalogue.py; do not edit: run it on newer files.",
            f"# as-of {o.as_of}",
            f"# source litellm {o.litellm.name} ({o.litellm_date})",
            f"# source genai {o.genai.name}",
            "# Prices in nano-USD per million tokens; - is not stated. per_request in nano-USD.",
            "# tiers: above_prompt_tokens:" + ",".join(RATES) + ";...",
            "\t".join(["# provider", "model", "mode", *RATES, "per_request", "context_max", "output_max",
                       "tiers", "flags", "source"]),
        ]
        rows = sorted(self.rows.values(), key=lambda r: (r.provider.encode(), r.model.encode()))
        return "\n".join(head + [row.line() for row in rows]) + "\n"

    def report(self, verbose):
        providers = collections.Counter(provider for provider, _ in self.rows)
        print(f"{len(self.rows)} models of {len(providers)} providers: "
              + ", ".join(f"{name} {n}" for name, n in providers.most_common()))
        for what, n in sorted(self.count.items()):
            print(f"{n:6} {what}")
        print("left out:")
        for why, names in sorted(self.skipped.items()):
            print(f"{len(names):6} {why}: " + ", ".join(names if verbose else names[:4])
                  + ("" if verbose or len(names) <= 4 else ", ..."))
        if verbose:
            print("disagreements:\n" + "\n".join(self.disagreements))


def load(path):
    return json.loads(path.read_text(), parse_float=decimal.Decimal)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", type=pathlib.Path, required=True)
    parser.add_argument("--litellm-date", required=True, help="when that file was current, YYYY-MM-DD")
    parser.add_argument("--genai", type=pathlib.Path, required=True)
    parser.add_argument("--as-of", required=True, help="the day whose prices are wanted, YYYY-MM-DD")
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    parser.add_argument("-v", "--verbose", action="store_true", help="names everything left out or in dispute")
    options = parser.parse_args()
    catalogue = Catalogue(options)
    catalogue.take_litellm(load(options.litellm))
    catalogue.take_genai(load(options.genai))
    options.output.write_text(catalogue.text())
    catalogue.report(options.verbose)
    return 0


if __name__ == "__main__":
    sys.exit(main())
