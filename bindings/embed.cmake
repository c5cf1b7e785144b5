# embed_files(OUTPUT FILE...) writes the assembly source OUTPUT, which defines what embed.h declares. The assembler reads
# the files themselves, so the build is quick and OUTPUT changes only when a file comes or goes.

# bindings/mos/init.lua is the module "mos", bindings/mos/events/http.lua is "mos.events.http"; others keep their name.
function(embed_name path result)
	file(RELATIVE_PATH name ${CMAKE_CURRENT_SOURCE_DIR}/bindings ${path})
	if(name MATCHES "^mos/.*\\.lua$")
		string(REGEX REPLACE "(/init)?\\.lua$" "" name ${name})
		string(REPLACE "/" "." name ${name})
	else()
		get_filename_component(name ${path} NAME)
	endif()
	set(${result} ${name} PARENT_SCOPE)
endfunction()

function(embed_files output)
	set(table "")
	set(bytes "")
	set(i 0)
	foreach(path ${ARGN})
		embed_name(${path} name)
		string(APPEND table "\t.quad .Lname${i}, .Ldata${i}, .Lend${i} - .Ldata${i}\n")
		string(APPEND bytes ".Lname${i}:\n\t.asciz \"${name}\"\n")
		string(APPEND bytes ".Ldata${i}:\n\t.incbin \"${path}\"\n.Lend${i}:\n\t.byte 0\n")
		math(EXPR i "${i} + 1")
	endforeach()
	string(CONCAT source
		"\t.section .data.rel.ro, \"aw\"\n"
		"\t.balign 8\n"
		"\t.globl embed_files\n\t.type embed_files, %object\nembed_files:\n${table}"
		"\t.size embed_files, . - embed_files\n"
		"\t.section .rodata\n"
		"\t.balign 8\n"
		"\t.globl embed_count\n\t.type embed_count, %object\nembed_count:\n\t.quad ${i}\n"
		"\t.size embed_count, . - embed_count\n"
		"${bytes}"
		"\t.section .note.GNU-stack, \"\", %progbits\n")
	file(GENERATE OUTPUT ${output} CONTENT "${source}")
	set_source_files_properties(${output} PROPERTIES GENERATED ON OBJECT_DEPENDS "${ARGN}")
endfunction()
