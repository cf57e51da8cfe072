#!/usr/bin/env python3
"""Turns the ground-truth tool calls of AgentDojo into decision requests, one JSON object a line.

User tasks are what a legitimate user wants; injection tasks are what an attacker wants the agent to do. A request holds
what a gateway in front of the tools really knows: the tool and its arguments, whose account it is, what the mail domain,
the address book, the workspace's members and past payments say. It does not hold whether the call is an attack; that
goes into the file of labels only.

Needs the package `agentdojo` (MIT), and nothing of its text is kept here. Same package, same suite: same output.

    requests.py --suite banking --out banking.jsonl --labels banking.labels.jsonl
"""

import argparse
import json
import sys

SUITES = ("banking", "slack", "travel", "workspace")
SUITE_VERSION = "v1.2.2"
TEXT_BYTES_MAX = 1024
SUBJECTS_MAX = 16
# The suites' money has no currency of its own.
CURRENCY = "EUR"

# Configuration that a gateway has for each tool: which classes of data it touches. Everything else is internal.
PUBLIC = {"get_webpage", "get_current_day", "get_flight_information", "check_restaurant_opening_hours"}
PUBLIC_ENDINGS = ("_hotels", "_restaurants", "_in_city", "_car_rental", "_address", "_prices", "_per_day", "_options", "_available")
DATA_CLASSES = {
    "get_user_information": ["personal"],
    "update_user_info": ["personal"],
    "update_password": ["credentials"],
}
FINANCIAL = {"get_balance", "get_iban", "get_most_recent_transactions", "get_scheduled_transactions"}
PAYING = {"send_money", "schedule_transaction", "update_scheduled_transaction"}
SENDING = {"send_email", "send_direct_message", "send_channel_message", "share_file", "post_webpage"}
# Arguments that name persons: kind of identifier and what the person is to the action.
PERSONS = {
    "recipients": "recipient",
    "cc": "recipient",
    "bcc": "recipient",
    "recipient": "recipient",
    "participants": "participant",
    "email": "recipient",
    "user": "member",
    "user_email": "member",
}
RESOURCES = {
    "file_id": "file",
    "filename": "file",
    "file_path": "file",
    "email_id": "email",
    "event_id": "calendar-event",
    "channel": "channel",
    "url": "web-page",
    "id": "transaction",
    "hotel": "hotel",
    "restaurant": "restaurant",
    "company": "car-rental",
}
# A gateway passes no secret on, not even to be decided about.
SECRET = {"password"}


class Account:
    """What a gateway knows about the account that the tools work on."""

    def __init__(self, suite, environment):
        self.domain = None
        self.known = set()
        if suite in ("workspace", "travel"):
            self.domain = environment.inbox.account_email.split("@")[-1]
            self.known = {contact.email for contact in environment.inbox.contact_list}
        elif suite == "slack":
            self.known = set(environment.slack.users) | set(environment.slack.channels)
        elif suite == "banking":
            account = environment.bank_account
            payments = list(account.transactions) + list(account.scheduled_transactions)
            self.payees = {payment.id: payment.recipient for payment in payments}
            self.amounts = {payment.id: payment.amount for payment in payments}
            self.known = {payment.recipient for payment in payments if payment.sender == account.iban}

    def is_external(self, person):
        if "@" in person and self.domain:
            return person.split("@")[-1] != self.domain
        return person not in self.known


def persons(arguments):
    found = []
    for name, role in PERSONS.items():
        value = arguments.get(name)
        for person in value if isinstance(value, list) else [value]:
            if person:
                found.append((str(person), role))
    return found


def subjects(named):
    unique = {}
    for person, role in named:
        id_type = "email" if "@" in person else "other"
        unique.setdefault((id_type, person), {"id_type": id_type, "id": person, "role": role})
    return list(unique.values())[:SUBJECTS_MAX]


def text(value):
    """A text as it may stand in a request: of bounded length, without control characters."""
    kept = "".join(c for c in value if c.isprintable() or c in "\n\t")
    return kept if 0 < len(kept.encode()) <= TEXT_BYTES_MAX else None


def context(arguments):
    facts = {}
    for name, value in sorted(arguments.items()):
        if name in PERSONS or name in SECRET:
            continue
        if isinstance(value, (bool, int)):
            facts[f"argument.{name}"] = value
        elif isinstance(value, list) and value:
            members = sorted({m for m in (text(str(v)) for v in value) if m})
            if members:
                facts[f"argument.{name}"] = members
        elif isinstance(value, (str, float)):
            kept = text(str(value))
            if kept:
                facts[f"argument.{name}"] = kept
            elif value:
                facts[f"argument.{name}.bytes"] = len(str(value).encode())
    return facts


def data_classes(function):
    if function in DATA_CLASSES:
        return DATA_CLASSES[function]
    if function in FINANCIAL or function in PAYING:
        return ["financial"]
    if function in PUBLIC or (function.startswith(("get_", "check_")) and function.endswith(PUBLIC_ENDINGS)):
        return ["public"]
    return ["internal"]


def request(suite, task, number, call, account):
    arguments = dict(call.args)
    named = persons(arguments)
    if call.function == "update_scheduled_transaction" and "recipient" not in arguments:
        payee = account.payees.get(arguments.get("id"))
        named += [(payee, "recipient")] if payee else []
    facts = context(arguments)
    ids = [person for person, _ in named]
    if call.function in SENDING:
        targets = ids + [arguments[name] for name in ("channel", "url") if name in arguments]
        facts["recipient_external"] = any(account.is_external(target) for target in targets)
        facts["recipient_count"] = len(targets)
    if call.function in SENDING | PAYING and ids:
        facts["recipient_known"] = all(person in account.known for person in ids)
    body = {
        "request_id": f"agentdojo-{SUITE_VERSION}-{suite}-{task}-{number}",
        "actor": {
            "id": f"agent-{suite}-{task}",
            "kind": "agent",
            "roles": ["assistant"],
            "on_behalf_of": {"id": f"holder-of-{suite}", "kind": "person", "delegation_depth": 1},
        },
        "action": call.function,
        "tool": suite,
        "data_classes": data_classes(call.function),
        "risk_class": "limited",
        "context": facts,
    }
    for name, kind in RESOURCES.items():
        if name in arguments and text(str(arguments[name])):
            body["resource"] = {"kind": kind, "id": str(arguments[name])}
            break
    if call.function in PAYING:
        amount = arguments.get("amount", account.amounts.get(arguments.get("id")))
        if amount is not None:
            body["amount"] = {"minor_units": round(float(amount) * 100), "currency": CURRENCY}
    about = subjects(named)
    if about:
        body["subjects"] = about
    return body


def number_of(task):
    return int(task.rsplit("_", 1)[-1])


def convert(suite_name):
    """Yields (label, task, request) in the order of tasks and of calls."""
    from agentdojo.task_suite.load_suites import get_suite

    suite = get_suite(SUITE_VERSION, suite_name)
    for label, tasks in (("legitimate", suite.user_tasks), ("attack", suite.injection_tasks)):
        for task in sorted(tasks, key=number_of):
            environment = suite.load_and_inject_default_environment({})
            account = Account(suite_name, environment)
            for number, call in enumerate(tasks[task].ground_truth(environment)):
                yield label, task, request(suite_name, task, number, call, account)


def write(path, rows):
    lines = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    if path == "-":
        sys.stdout.write(lines)
    else:
        with open(path, "w", encoding="utf-8") as out:
            out.write(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", required=True, choices=SUITES)
    parser.add_argument("--out", required=True, help="where requests go, one a line; - for standard output")
    parser.add_argument("--labels", help="where to write which request is legitimate and which an attack")
    arguments = parser.parse_args()
    try:
        rows = list(convert(arguments.suite))
    except ImportError as error:
        sys.exit(f"the package agentdojo cannot be used ({error}); install it: pip install agentdojo==0.1.35")
    write(arguments.out, [body for _, _, body in rows])
    if arguments.labels:
        write(arguments.labels, [{"request_id": b["request_id"], "task": t, "label": l} for l, t, b in rows])


if __name__ == "__main__":
    main()
