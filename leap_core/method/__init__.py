"""The method: rollout, privileged correction, demonstrations, dataset, evaluation, and their tables."""
