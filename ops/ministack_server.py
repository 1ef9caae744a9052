"""Starts ministack, in its own virtual environment, with the names of a function's errors as Lambda gives them.

ministack 1.5.33 answers every exception of a Python function with the errorType ``Runtime.HandlerError``. Lambda
gives the name of the exception's class, and that is what Step Functions matches on.
https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
"""

import threading
from importlib import import_module
from typing import Any

REPORTED = '"status": "error", "error": str(e), "trace": traceback.format_exc()'


def name_errors() -> None:
    """Has the processes that run functions report the class, and puts it into the answer."""
    # By name: these modules are not in the environment that checks this file.
    runtime: Any = import_module("ministack.core.lambda_runtime")
    functions: Any = import_module("ministack.services.lambda_svc")
    if REPORTED not in runtime._PYTHON_WORKER_SCRIPT:
        raise SystemExit("this ministack is not the one that ops/ministack_server.py mends: see pyproject.toml")
    runtime._PYTHON_WORKER_SCRIPT = runtime._PYTHON_WORKER_SCRIPT.replace(
        REPORTED, f'{REPORTED}, "type": type(e).__name__'
    )
    latest = threading.local()
    invoke, execute = runtime.Worker.invoke, functions._execute_function_warm

    def remembering(worker: Any, *arguments: Any, **options: Any) -> Any:
        answer = invoke(worker, *arguments, **options)
        latest.type = answer.get("type")
        return answer

    def naming(*arguments: Any, **options: Any) -> Any:
        latest.type = None
        answer = execute(*arguments, **options)
        if latest.type:
            answer["body"]["errorType"] = latest.type
        return answer

    runtime.Worker.invoke = remembering
    functions._execute_function_warm = naming


if __name__ == "__main__":
    name_errors()
    import_module("ministack.app").main()
