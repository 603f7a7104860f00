"""Environments: what students play. Adding one = one module with a `Suite` + one line here."""

ENVIRONMENTS = {
    "alfworld": "leap_core.envs.alfworld.suite:AlfworldSuite",
    "intercode_bash": "leap_core.envs.intercode_bash.suite:IntercodeBashSuite",
    "webshop": "leap_core.envs.webshop.suite:WebshopSuite",
}
