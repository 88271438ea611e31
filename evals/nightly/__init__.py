"""Every night the same question of a list of checkpoints: did one of them get worse?"""
