"""The package's own personas, as the contract has them."""

from __future__ import annotations

#: Persona -> the tokens of its budget.
BUDGETS = {
    "backend-engineer": 2000,
    "frontend-engineer": 1800,
    "testing-specialist": 1500,
    "observability-expert": 2000,
    "devops-engineer": 1800,
    "data-scientist": 1700,
}
