PYTHON ?= python3

.PHONY: tutorial test lab bench clean
tutorial: ; $(PYTHON) -m riskmap tutorial
test: ; $(PYTHON) -m riskmap test
lab: ; $(PYTHON) -m riskmap lab
bench: ; $(PYTHON) -m riskmap bench
clean: ; $(PYTHON) -m riskmap clean
