# one line around each target of `python -m riskmap`; its arguments go into ARGS: make run ARGS="03 -f smoke"
PYTHON ?= python3
TARGETS = tutorial run sweep experiment publish exercises site slides bundle unbundle lab bench test test-all test-browser check-env clean

.PHONY: $(TARGETS)
$(TARGETS): ; $(PYTHON) -m riskmap $@ $(ARGS)
