"""Environments: what students play. Adding one = one folder (copy `toy`) + one line here."""

ENVIRONMENTS = {
    "alfworld": "leap_core.envs.alfworld.suite:AlfworldSuite",
    "intercode_bash": "leap_core.envs.intercode_bash.suite:IntercodeBashSuite",
    "toy": "leap_core.envs.toy.suite:ToySuite",
    "webshop": "leap_core.envs.webshop.suite:WebshopSuite",
}
