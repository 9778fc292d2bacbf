"""ministack's Python worker, changed where it describes failures.

The worker is a script that ministack keeps as text and runs as a process of its own. Three places of that
text are replaced: importing the handler, calling it, and what `run` needs for both. The account refuses to
start when one of them is not found: a worker half changed would answer with wrong error types unnoticed.
"""

from local.lambda_runtime.log_ends import END

HELPERS = '''
def _ms_failure(error_type, message, request_id="", stack=()):
    return {
        "errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": list(stack),
    }

def _ms_raised(error, request_id=""):
    """The payload for an exception of the function's own code, without the frames of this script."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    frames = [f for f in frames if not f.filename.startswith("<frozen importlib")]
    root = os.environ.get("LAMBDA_TASK_ROOT", "")
    stack = [text.replace(root, "/var/task") if root else text for text in traceback.format_list(frames)]
    return _ms_failure(type(error).__name__, str(error), request_id, stack)

def _ms_import(module_name, handler_name):
    """The handler, or raise _MsInitFailure with the payload of AWS for what stands in the way."""
    try:
        module = importlib.import_module(module_name)
    except ImportError as e:
        raise _MsInitFailure(_ms_failure(
            "Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, e)))
    except SyntaxError as e:
        raise _MsInitFailure(_ms_failure(
            "Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e)))
    except Exception as e:
        raise _MsInitFailure(_ms_raised(e))
    if not hasattr(module, handler_name):
        raise _MsInitFailure(_ms_failure(
            "Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (handler_name, module_name)))
    return getattr(module, handler_name)

class _MsInitFailure(Exception):
    pass

def _ms_encode_decimal(value):
    import decimal
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)

def _ms_call(handler, event, context):
    """One line for the account: the result, or the payload of the failure."""
    request_id = context.aws_request_id
    try:
        result = handler(event, context)
    except SystemExit as e:
        # at once: a slow farewell would be cut short, and the exit status with it
        sys.stderr.flush()
        os._exit(0 if e.code is None else e.code if isinstance(e.code, int) else 1)
    except Exception as e:
        failure = _ms_raised(e, request_id)
    else:
        try:
            return '{"status": "ok", "result": %s}' % json.dumps(result, default=_ms_encode_decimal)
        except Exception as e:
            failure = _ms_failure("Runtime.MarshalError", "Unable to marshal response: %s" % e, request_id)
    sys.stderr.write("[ERROR] %s: %s\\n%s" % (
        failure["errorType"], failure["errorMessage"], "".join(failure["stackTrace"])))
    sys.stderr.flush()
    return json.dumps({"status": "ok", "result": None, "failure": failure})

'''

REPLACEMENTS: tuple[tuple[str, str], ...] = (
    ("\ndef run():\n", HELPERS + "\ndef run():\n"),
    (
        "        mod = importlib.import_module(module_name)\n"
        "        handler_fn = getattr(mod, handler_name)\n",
        "        handler_fn = _ms_import(module_name, handler_name)\n",
    ),
    (
        "    except Exception as e:\n"
        '        _real_stdout.write(json.dumps({"status": "error", "error": str(e)}) + "\\n")\n',
        "    except Exception as e:\n"
        "        _ms_payload = e.args[0] if isinstance(e, _MsInitFailure) else _ms_raised(e)\n"
        '        _real_stdout.write(json.dumps({"status": "error", "error": json.dumps(_ms_payload)}))\n'
        '        _real_stdout.write("\\n")\n',
    ),
    (
        "        try:\n"
        "            result = handler_fn(event, context)\n"
        '            _real_stdout.write(json.dumps({"status": "ok", "result": result}) + "\\n")\n'
        "        except Exception as e:\n"
        '            _real_stdout.write(json.dumps({"status": "error", "error": str(e), '
        '"trace": traceback.format_exc()}) + "\\n")\n',
        "        _ms_answer = _ms_call(handler_fn, event, context)\n"
        f"        sys.__stderr__.write({END!r} + chr(10))\n"
        "        sys.__stderr__.flush()\n"
        '        _real_stdout.write(_ms_answer + "\\n")\n',
    ),
)


class WorkerScriptChanged(RuntimeError):
    """ministack's worker script no longer contains a text that is replaced."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "ministack's Python worker script is not the one of the pinned version; it lacks the text "
            f"{text.strip().splitlines()[0]!r}. Install the pinned version (make setup), or adapt "
            "local/lambda_runtime/worker_script.py."
        )


def with_aws_error_types(script: str) -> str:
    """The worker script with the replacements made; raises WorkerScriptChanged when one does not fit once."""
    for original, replacement in REPLACEMENTS:
        if script.count(original) != 1:
            raise WorkerScriptChanged(original)
        script = script.replace(original, replacement)
    return script
