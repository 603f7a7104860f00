"""The game engine: PDDL rules, the grammar of texts, and the engines that play a game."""
