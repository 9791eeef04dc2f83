"""Prints each line of an event stream as JSON, as soon as it has arrived. Arguments: the library, the URL."""
import json
import sys

library, url = sys.argv[1:]


def show(lines):
    for line in lines:
        print(json.dumps(line), flush=True)


if library == 'requests':
    import requests

    with requests.get(url, stream=True) as response:
        response.raise_for_status()
        show(response.iter_lines(decode_unicode=True))
else:
    import httpx

    with httpx.stream('GET', url) as response:
        response.raise_for_status()
        # before version 0.24, each line has its line break
        show(line.rstrip('\n') for line in response.iter_lines())
