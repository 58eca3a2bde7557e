# What several of this project's modules share; loaded as ansible.module_utils.hypertool.
